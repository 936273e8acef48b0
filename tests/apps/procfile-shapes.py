"""A Procfile as editors and people leave it: no line break at its end, blanks around the colon, quotes, many types."""

from pathlib import Path

LINES = [
    "#!/not/a/program",
    "web : python3 -m http.server $PORT   ",
    "",
    "\t# indented remark",
    "quoted: sh -c \"echo 'a b' && sleep 9\"",
    "url: echo http://host:1/?a=b",
    "Camel_case-2:sleep 1",
    *(f"type{number}: sleep {number}" for number in range(60)),
    "last: sleep 2",
]
Path("Procfile").write_text("\n".join(LINES))
Path("hello.txt").write_text("shaped\n")
