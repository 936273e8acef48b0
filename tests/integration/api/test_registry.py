"""The OCI distribution API by real HTTP calls, point for point as the specification (1.1) has it."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from django.conf import settings as django_settings

from paas.controller.models import App, Build, RegistryBlob, User
from paas.controller.services import registry
from paas.controller.services.accounts import create_token, create_user
from paas.controller.services.apps import create_app
from tests.integration.api.conftest import Api

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

LAYER = b"layer" * 1000
CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"]}}).encode()
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": "c", "digest": digest(CONFIG), "size": len(CONFIG)},
        "layers": [{"mediaType": "l", "digest": digest(LAYER), "size": len(LAYER)}],
    }
).encode()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["errors"][0]["code"])

    @property
    def message(self) -> str:
        return str(json.loads(self.body)["errors"][0]["message"])


@dataclass(frozen=True)
class Client:
    host: str
    authorization: str

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self.host, timeout=20)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.authorization:
            sent.setdefault("Authorization", self.authorization)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def push_blob(self, name: str, data: bytes) -> Answer:
        begun = self.call("POST", f"/v2/{name}/blobs/uploads/")
        return self.call("PUT", f"{begun.headers['Location']}?digest={quote(digest(data))}", data)

    def push(self, name: str, reference: str = "1", manifest: bytes = MANIFEST) -> Answer:
        for data in (LAYER, CONFIG):
            assert self.push_blob(name, data).status == 201
        path = f"/v2/{name}/manifests/{reference}"
        return self.call("PUT", path, manifest, Content_Type=MANIFEST_TYPE)


@pytest.fixture
def client(live_server: Any, api: Api) -> Client:
    return Client(urlsplit(live_server.url).netloc, f"Bearer {api.token}")


@pytest.fixture
def app(api: Api) -> App:
    return create_app(api.user, "shop")


def stranger(client: Client) -> tuple[User, Client]:
    user = create_user("eve@example.com", "a long password")
    return user, Client(client.host, f"Bearer {create_token(user)[1]}")


class TestWhoCalls:
    def test_a_challenge_for_who_is_not_known(self, client: Client, app: App) -> None:
        for path in ("/v2/", "/v2/shop/web/blobs/uploads/"):
            method = "GET" if path == "/v2/" else "POST"
            answer = Client(client.host, "").call(method, path)
            assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
            challenge = answer.headers["WWW-Authenticate"]
            assert challenge.startswith(f'Bearer realm="http://{client.host}/v2/token",service="paas"')
        assert challenge.endswith(',scope="repository:shop/web:pull,push"')

    @pytest.mark.parametrize("way", ["bearer", "basic", "exchanged", "granted"])
    def test_a_token_of_the_platform_opens_it(self, client: Client, api: Api, way: str) -> None:
        basic = f"Basic {base64.b64encode(f'anybody:{api.token}'.encode()).decode()}"
        given = client.authorization if way == "bearer" else basic
        if way in ("exchanged", "granted"):
            form = f"grant_type=password&service=paas&username=x&password={quote(api.token)}".encode()
            bare = Client(client.host, "")
            answer = (
                bare.call("GET", "/v2/token?service=paas", Authorization=basic)
                if way == "exchanged"
                else bare.call("POST", "/v2/token", form, Content_Type="application/x-www-form-urlencoded")
            )
            assert answer.status == 200
            given = f"Bearer {json.loads(answer.body)['token']}"
            assert api.token not in answer.body.decode()
        answer = Client(client.host, given).call("GET", "/v2/")
        assert (answer.status, answer.headers["Docker-Distribution-Api-Version"]) == (200, "registry/2.0")

    def test_a_registry_token_ends_with_the_token_behind_it(self, client: Client, api: Api) -> None:
        exchanged = json.loads(client.call("GET", "/v2/token").body)["token"]
        api.delete("/oauth/authorizations/~")
        assert Client(client.host, f"Bearer {exchanged}").call("GET", "/v2/").status == 401

    def test_wrong_secrets(self, client: Client) -> None:
        for given in ("Bearer nonsense", "Bearer paas_nonsense", "Basic !!!", "Digest x"):
            assert Client(client.host, given).call("GET", "/v2/").status == 401

    def test_apps_of_others_are_not_there(self, client: Client, app: App) -> None:
        assert client.push("shop/web").status == 201
        _, eve = stranger(client)
        for path in ("tags/list", f"blobs/{digest(LAYER)}", "manifests/1"):
            answer = eve.call("GET", f"/v2/shop/web/{path}")
            assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")
        assert eve.call("POST", "/v2/shop/web/blobs/uploads/").status == 404

    def test_a_token_that_may_only_read(self, client: Client, api: Api, app: App) -> None:
        reader = Client(client.host, f"Bearer {create_token(api.user, scope=['read'])[1]}")
        assert reader.call("GET", "/v2/shop/web/tags/list").status == 200
        answer = reader.call("POST", "/v2/shop/web/blobs/uploads/")
        assert (answer.status, answer.code) == (403, "DENIED")

    def test_the_catalog_lists_ones_own(self, client: Client, app: App) -> None:
        _, eve = stranger(client)
        assert json.loads(client.call("GET", "/v2/_catalog").body) == {"repositories": ["shop"]}
        assert json.loads(eve.call("GET", "/v2/_catalog").body) == {"repositories": []}


class TestBlobs:
    def test_in_one_piece(self, client: Client, app: App) -> None:
        answer = client.push_blob("shop/web", LAYER)
        assert answer.status == 201
        assert answer.headers["Docker-Content-Digest"] == digest(LAYER)
        got = client.call("GET", answer.headers["Location"])
        assert (got.status, got.body) == (200, LAYER)
        head = client.call("HEAD", answer.headers["Location"])
        assert (head.status, head.headers["Content-Length"], head.body) == (200, str(len(LAYER)), b"")

    def test_in_one_request(self, client: Client, app: App) -> None:
        path = f"/v2/shop/web/blobs/uploads/?digest={quote(digest(LAYER))}"
        assert client.call("POST", path, LAYER).status == 201
        assert client.call("GET", f"/v2/shop/web/blobs/{digest(LAYER)}").body == LAYER

    def test_in_chunks(self, client: Client, app: App) -> None:
        begun = client.call("POST", "/v2/shop/web/blobs/uploads/")
        where = begun.headers["Location"]
        assert (begun.status, begun.headers["Range"]) == (202, "0-0")
        first = client.call("PATCH", where, LAYER[:2000], Content_Range="0-1999")
        assert (first.status, first.headers["Range"]) == (202, "0-1999")
        wrong = client.call("PATCH", where, LAYER[3000:], Content_Range="3000-4999")
        assert (wrong.status, wrong.code) == (416, "BLOB_UPLOAD_INVALID")
        assert client.call("GET", where).headers["Range"] == "0-1999"
        assert client.call("PATCH", where, LAYER[2000:4000], Content_Range="2000-3999").status == 202
        done = client.call("PUT", f"{where}?digest={quote(digest(LAYER))}", LAYER[4000:])
        assert done.status == 201
        assert client.call("GET", f"/v2/shop/web/blobs/{digest(LAYER)}").body == LAYER
        assert (again := client.call("GET", where)).status == 404
        assert again.code == "BLOB_UPLOAD_UNKNOWN"

    def test_another_digest_than_the_bytes_have(self, client: Client, app: App) -> None:
        where = client.call("POST", "/v2/shop/web/blobs/uploads/").headers["Location"]
        answer = client.call("PUT", f"{where}?digest={quote(digest(b'other'))}", LAYER)
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
        assert client.call("HEAD", f"/v2/shop/web/blobs/{digest(b'other')}").status == 404
        assert client.call("PUT", f"{where}?digest=sha256:1", b"").code == "DIGEST_INVALID"

    def test_giving_up(self, client: Client, app: App) -> None:
        where = client.call("POST", "/v2/shop/web/blobs/uploads/").headers["Location"]
        assert client.call("DELETE", where).status == 204
        assert client.call("DELETE", where).code == "BLOB_UPLOAD_UNKNOWN"
        assert list(registry.uploads().glob(f"{app.id}.*")) == []

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [("bytes=0-9", (0, 10)), ("bytes=4990-", (4990, 5000)), ("bytes=4999-9999", (4999, 5000))],
    )
    def test_ranges(self, client: Client, app: App, wanted: str, expected: tuple[int, int]) -> None:
        client.push_blob("shop/web", LAYER)
        first, end = expected
        answer = client.call("GET", f"/v2/shop/web/blobs/{digest(LAYER)}", Range=wanted)
        assert (answer.status, answer.body) == (206, LAYER[first:end])
        assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/5000"

    def test_a_range_behind_the_end(self, client: Client, app: App) -> None:
        client.push_blob("shop/web", LAYER)
        assert client.call("GET", f"/v2/shop/web/blobs/{digest(LAYER)}", Range="bytes=5000-").status == 416

    def test_mounting_what_another_app_of_mine_has(self, client: Client, api: Api, app: App) -> None:
        create_app(api.user, "other")
        client.push_blob("shop/web", LAYER)
        path = f"/v2/other/web/blobs/uploads/?mount={quote(digest(LAYER))}&from=shop/web"
        assert client.call("POST", path).status == 201
        assert client.call("GET", f"/v2/other/web/blobs/{digest(LAYER)}").body == LAYER
        files = list((django_settings.PAAS.home / "blobs" / "sha256").glob(digest(LAYER)[7:]))
        assert len(files) == 1

    def test_mounting_what_somebody_else_has_is_sending_it(self, client: Client, app: App) -> None:
        client.push_blob("shop/web", LAYER)
        user, eve = stranger(client)
        create_app(user, "eves")
        path = f"/v2/eves/web/blobs/uploads/?mount={quote(digest(LAYER))}&from=shop/web"
        assert eve.call("POST", path).status == 202
        assert eve.call("HEAD", f"/v2/eves/web/blobs/{digest(LAYER)}").status == 404

    def test_a_quota(self, client: Client, app: App, settings: Any) -> None:
        from dataclasses import replace

        settings.PAAS = replace(settings.PAAS, registry_quota=6000)
        assert client.push_blob("shop/web", LAYER).status == 201
        answer = client.push_blob("shop/web", LAYER + b"more")
        assert (answer.status, answer.code) == (403, "DENIED")
        assert "over its limit" in answer.message

    def test_two_writers_of_one_upload_do_not_mix(self, client: Client, app: App) -> None:
        where = client.call("POST", "/v2/shop/web/blobs/uploads/").headers["Location"]
        statuses: list[int] = []

        def send() -> None:
            statuses.append(client.call("PATCH", where, LAYER, Content_Range="0-4999").status)

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(statuses) == [202, 416, 416, 416]


class TestManifests:
    def test_a_tagged_one_is_kept_and_deploys(self, client: Client, app: App) -> None:
        answer = client.push("shop/web")
        assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest(MANIFEST))
        for reference in ("1", digest(MANIFEST)):
            got = client.call("GET", f"/v2/shop/web/manifests/{reference}")
            assert (got.status, got.body, got.headers["Content-Type"]) == (200, MANIFEST, MANIFEST_TYPE)
        head = client.call("HEAD", "/v2/shop/web/manifests/1")
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(MANIFEST)))
        build = Build.objects.get(app=app)
        assert (build.origin, build.image["manifest"]) == ("image", digest(MANIFEST))
        assert (build.image["source"], build.image["process_type"]) == ("shop/web:1", "web")

    def test_one_by_digest_does_not_deploy(self, client: Client, app: App) -> None:
        assert client.push("shop/web", digest(MANIFEST)).status == 201
        assert not Build.objects.exists()
        assert client.call("PUT", f"/v2/shop/web/manifests/{digest(b'x')}", MANIFEST).code == "DIGEST_INVALID"

    def test_while_a_build_runs_the_client_is_told_to_come_again(self, client: Client, app: App) -> None:
        assert client.push("shop/web").status == 201
        answer = client.push("shop/web", "2")
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (429, "TOOMANYREQUESTS", "2")
        assert client.call("GET", "/v2/shop/web/manifests/2").status == 404

    def test_blobs_that_were_not_pushed(self, client: Client, app: App) -> None:
        answer = client.call("PUT", "/v2/shop/web/manifests/1", MANIFEST)
        assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")

    @pytest.mark.parametrize("data", [b"", b"{}", b"not json", b"[1]"])
    def test_what_is_no_manifest(self, client: Client, app: App, data: bytes) -> None:
        answer = client.call("PUT", "/v2/shop/web/manifests/1", data)
        assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")

    def test_tags_and_their_pages(self, client: Client, app: App) -> None:
        client.push("shop/web", "b")
        for tag in ("a", "c"):
            Build.objects.all().delete()
            client.push("shop/web", tag)
        assert json.loads(client.call("GET", "/v2/shop/web/tags/list").body) == {
            "name": "shop/web",
            "tags": ["a", "b", "c"],
        }
        page = client.call("GET", "/v2/shop/web/tags/list?n=2")
        assert json.loads(page.body)["tags"] == ["a", "b"]
        assert page.headers["Link"] == '</v2/shop/web/tags/list?n=2&last=b>; rel="next"'
        assert json.loads(client.call("GET", "/v2/shop/web/tags/list?n=2&last=b").body)["tags"] == ["c"]

    def test_nothing_refers_to_anything(self, client: Client, app: App) -> None:
        answer = client.call("GET", f"/v2/shop/web/referrers/{digest(MANIFEST)}")
        assert json.loads(answer.body)["manifests"] == []
        assert answer.headers["Content-Type"] == "application/vnd.oci.image.index.v1+json"


class TestNames:
    @pytest.mark.parametrize("name", ["shop", "shop/web/more", "SHOP/web", "shop/we b"])
    def test_where_nothing_can_be_pushed(self, client: Client, app: App, name: str) -> None:
        answer = client.call("POST", f"/v2/{quote(name)}/blobs/uploads/")
        assert (answer.status, answer.code) == (400, "NAME_INVALID")

    def test_releases_that_cannot_be_pulled_say_why(self, client: Client, app: App) -> None:
        for reference, words in [("v1", "no code"), ("v9", "find release"), ("nonsense", "Tags of shop are")]:
            answer = client.call("GET", f"/v2/shop/manifests/{reference}")
            assert answer.status == 404
            assert words in answer.message


def test_files_that_no_app_has_are_swept(client: Client, app: App) -> None:
    from datetime import timedelta

    from django.utils import timezone

    client.push("shop/web")
    client.push_blob("shop/web", b"untagged")
    later = timezone.now() + registry.BLOBS_KEPT + timedelta(days=2)
    RegistryBlob.objects.update(used_at=timezone.now())
    registry.sweep(later)
    assert client.call("HEAD", f"/v2/shop/web/blobs/{digest(LAYER)}").status == 200
    assert client.call("HEAD", f"/v2/shop/web/blobs/{digest(b'untagged')}").status == 404
    app.delete()
    registry.sweep(later)
    left = {path.name for path in (django_settings.PAAS.home / "blobs" / "sha256").iterdir()}
    assert not left & {digest(data)[7:] for data in (LAYER, CONFIG, MANIFEST, b"untagged")}
