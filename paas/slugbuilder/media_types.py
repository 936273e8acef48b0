"""Content types of static files, the same whichever server sends them.

In: a file's suffix.  Out: its type, and whether compressing it pays.
"""

from __future__ import annotations

DEFAULT = "application/octet-stream"

TYPES: dict[str, str] = {
    "aac": "audio/aac", "apng": "image/apng", "atom": "application/atom+xml", "avif": "image/avif",
    "bmp": "image/bmp", "cjs": "text/javascript", "css": "text/css", "csv": "text/csv",
    "eot": "application/vnd.ms-fontobject", "epub": "application/epub+zip", "gif": "image/gif",
    "gz": "application/gzip", "htm": "text/html", "html": "text/html", "ico": "image/x-icon",
    "ics": "text/calendar", "jpeg": "image/jpeg", "jpg": "image/jpeg", "js": "text/javascript",
    "json": "application/json", "jsonld": "application/ld+json", "m4a": "audio/mp4", "m4v": "video/mp4",
    "map": "application/json", "md": "text/markdown", "mjs": "text/javascript", "mov": "video/quicktime",
    "mp3": "audio/mpeg", "mp4": "video/mp4", "mpeg": "video/mpeg", "oga": "audio/ogg", "ogg": "audio/ogg",
    "ogv": "video/ogg", "opus": "audio/ogg", "otf": "font/otf", "pdf": "application/pdf", "png": "image/png",
    "rss": "application/rss+xml", "svg": "image/svg+xml", "tar": "application/x-tar", "tif": "image/tiff",
    "tiff": "image/tiff", "ttf": "font/ttf", "txt": "text/plain", "vtt": "text/vtt", "wasm": "application/wasm",
    "wav": "audio/wav", "weba": "audio/webm", "webm": "video/webm", "webmanifest": "application/manifest+json",
    "webp": "image/webp", "woff": "font/woff", "woff2": "font/woff2", "xhtml": "application/xhtml+xml",
    "xml": "text/xml", "yaml": "text/yaml", "yml": "text/yaml", "zip": "application/zip",
}  # fmt: skip

COMPRESSIBLE = frozenset(
    {kind for kind in TYPES.values() if kind.startswith("text/") or kind.endswith(("+xml", "+json"))}
    | {
        "application/json",
        "application/wasm",
        "application/vnd.ms-fontobject",
        "font/ttf",
        "font/otf",
        "image/bmp",
    }
)


def media_type(name: str) -> str:
    """Return the type for a file name, by its last suffix."""
    stem, dot, suffix = name.rpartition(".")
    return TYPES.get(suffix.lower(), DEFAULT) if dot and stem else DEFAULT


def content_type(name: str) -> str:
    """The header's value: text is UTF-8."""
    kind = media_type(name)
    return f"{kind}; charset=utf-8" if kind.startswith("text/") or kind == "application/json" else kind
