"""The little markup of quiz texts, hints and diagnoses, as HTML and as plain text.

JupyterLab's MathJax does not reach into widgets, so these texts are written in what follows and nothing more:
    `code`    **strong**    $simple math$    a blank line between paragraphs    a fenced block ``` of code
Simple math is letters, numbers, operators, `_` and `^` (of one character or of {...}), \\frac, \\sqrt, \\text, the
SYMBOLS, and functions such as \\exp.
Everything else is shown as written, escaped: no text can bring its own tags.
"""

from __future__ import annotations

import html
import re

SYMBOLS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "Delta": "Δ", "epsilon": "ε", "varepsilon": "ε",
    "lambda": "λ", "mu": "μ", "pi": "π", "rho": "ρ", "sigma": "σ", "Sigma": "Σ", "tau": "τ", "theta": "θ", "phi": "φ",
    "omega": "ω", "Omega": "Ω", "infty": "∞", "cdot": "·", "times": "×", "le": "≤", "leq": "≤", "ge": "≥",
    "geq": "≥", "ne": "≠", "neq": "≠", "approx": "≈", "to": "→", "rightarrow": "→", "leftarrow": "←", "mapsto": "↦",
    "sum": "∑", "prod": "∏", "in": "∈", "pm": "±", "dots": "…", "ldots": "…", "cdots": "…", "odot": "⊙", "oplus": "⊕",
    "partial": "∂", "top": "⊤", "lceil": "⌈", "rceil": "⌉", "lfloor": "⌊", "rfloor": "⌋", "ell": "ℓ", "quad": "  ",
    "left": "", "right": "", "big": "", "Big": "",
}  # fmt: skip
# Read as words: \exp(x) is exp(x).
FUNCTIONS = frozenset(
    ["exp", "log", "ln", "max", "min", "sup", "inf", "lim", "sin", "cos", "tanh", "det", "dim", "rank", "mod", "deg"]
)
_BUILT = frozenset(["frac", "sqrt", "text", "mathrm", "operatorname", "mathbf"])
_INLINE = re.compile(r"`(?P<code>[^`\n]+)`|\$(?P<math>[^$\n]+)\$|\*\*(?P<strong>[^*\n]+)\*\*")
_FENCE = re.compile(r"^```[^\n]*\n(?P<code>.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
_TOKEN = re.compile(
    r"\\(?P<command>[A-Za-z]+)|\\(?P<escaped>.)|(?P<script>[_^])|(?P<open>\{)|(?P<close>\})|(?P<char>.)"
)


def to_html(text: str) -> str:
    """Render a text as HTML: paragraphs only where there are several, so that one sentence stays inline."""
    pieces: list[str] = []
    position = 0
    for fence in _FENCE.finditer(text):
        pieces += [_inline(p) for p in _paragraphs(text[position : fence.start()])]
        pieces.append(f"<pre><code>{html.escape(fence['code'].rstrip())}</code></pre>")
        position = fence.end()
    pieces += [_inline(p) for p in _paragraphs(text[position:])]
    if len(pieces) == 1:
        return pieces[0]
    return "".join(p if p.startswith("<pre>") else f"<p>{p}</p>" for p in pieces)


def to_text(text: str) -> str:
    """Render a text for a terminal: as written, with the symbols of its mathematics."""

    def plain(match: re.Match[str]) -> str:
        if match["math"] is not None:
            return _Math(match["math"]).text()
        return match["strong"] if match["strong"] is not None else match[0]

    return _INLINE.sub(plain, _FENCE.sub(lambda fence: fence["code"].rstrip("\n"), text)).strip()


def faults(text: str) -> list[str]:
    """Say what of a text's mathematics cannot be shown: unknown commands, braces and `$` without a partner."""
    found = []
    rest = _FENCE.sub("", text)
    for match in _INLINE.finditer(rest):
        if (math := match["math"]) is None:
            continue
        tokens = list(_TOKEN.finditer(math))
        commands = {token["command"] for token in tokens if token["command"]}
        found += [f"\\{name} is not known" for name in sorted(commands - SYMBOLS.keys() - FUNCTIONS - _BUILT)]
        if sum(bool(token["open"]) for token in tokens) != sum(bool(token["close"]) for token in tokens):
            found.append(f"${math}$ has a brace without its partner")
    left = _INLINE.sub("", rest)
    if command := re.search(r"\\[A-Za-z]+", left):
        found.append(f"{command[0]} stands outside of $...$")
    if "$$" in text or left.count("$") > 1:
        found.append("a $ has no partner in its line, or is doubled")
    return found


def _paragraphs(text: str) -> list[str]:
    return [p.strip() for p in re.split(r"\n\s*\n", text) if p.strip()]


def _inline(text: str) -> str:
    def render(match: re.Match[str]) -> str:
        if match["code"] is not None:
            return f"<code>{html.escape(match['code'])}</code>"
        if match["math"] is not None:
            return f'<span class="tw-math">{_Math(match["math"]).html()}</span>'
        return f"<strong>{html.escape(match['strong'])}</strong>"

    parts, position = [], 0
    for match in _INLINE.finditer(text):
        parts += [html.escape(text[position : match.start()]), render(match)]
        position = match.end()
    return "".join(parts) + html.escape(text[position:])


class _Math:
    """One `$...$`, read once from left to right."""

    def __init__(self, source: str) -> None:
        self._tokens = list(_TOKEN.finditer(source))
        self._next = 0

    def html(self) -> str:
        return self._group(markup=True)

    def text(self) -> str:
        return self._group(markup=False)

    def _group(self, markup: bool) -> str:
        parts = []
        while self._next < len(self._tokens) and not self._tokens[self._next]["close"]:
            parts.append(self._atom(markup))
        self._next += 1
        return "".join(parts)

    def _atom(self, markup: bool) -> str:
        if self._next >= len(self._tokens):
            return ""
        token = self._tokens[self._next]
        self._next += 1
        if token["open"]:
            return self._group(markup)
        if command := token["command"]:
            return self._command(command, markup)
        if script := token["script"]:
            argument = self._atom(markup)
            if markup:
                tag = "sub" if script == "_" else "sup"
                # A line of its own height would push the lines of a paragraph apart.
                return f'<{tag} style="line-height: 0">{argument}</{tag}>'
            return f"{script}{argument}" if len(argument) == 1 else f"{script}({argument})"
        character = token["escaped"] or token["char"] or ""
        if markup:
            return f"<i>{character}</i>" if character.isalpha() else html.escape(character.replace("-", "−"))
        return character

    def _command(self, name: str, markup: bool) -> str:
        if name == "frac":
            return f"({self._atom(markup)}) / ({self._atom(markup)})"
        if name == "sqrt":
            return f"√({self._atom(markup)})"
        if name in _BUILT:
            return re.sub(r"</?i>", "", self._atom(markup))
        return SYMBOLS.get(name, name)  # a function is its own name; what is not known, `faults` tells of
