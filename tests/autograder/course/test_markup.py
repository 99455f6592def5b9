"""The little markup: what it renders, and that no text brings its own tags."""

from __future__ import annotations

import re

import pytest

from autograder.course.markup import to_html, to_text


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain", "plain"),
        ("call `f(x) < 2`", "call <code>f(x) &lt; 2</code>"),
        ("**no** way", "<strong>no</strong> way"),
        ("one\n\ntwo", "<p>one</p><p>two</p>"),
        ("run\n```python\na < b\n```", "<p>run</p><pre><code>a &lt; b</code></pre>"),
        ("costs $5", "costs $5"),
        ("a_b * c", "a_b * c"),
    ],
)
def test_each_mark_has_its_html(text: str, html: str) -> None:
    assert to_html(text) == html


@pytest.mark.parametrize(
    ("math", "seen"),
    [
        ("$m_{new}$", "m|_new|"),
        ("$e^{x_i}$", "e|^x|_i||"),
        (r"$\exp(m_i - m_j)$", "exp(m|_i| − m|_j|)"),
        (r"$\frac{1}{\sqrt{D}}$", "(1) / (√(D))"),
        (r"$\alpha \le \infty$", "α ≤ ∞"),
        (r"$l < 2$", "l &lt; 2"),
        (r"$x^", "$x^"),
        (r"$x^{$", "x|^|"),
        (r"$\text{row max}$", "row max"),
    ],
)
def test_simple_math_becomes_sub_and_superscripts(math: str, seen: str) -> None:
    html = to_html(math)
    html = re.sub(r"<sub[^>]*>", "|_", html)
    html = re.sub(r"<sup[^>]*>", "|^", html)
    html = re.sub(r"</su[bp]>", "|", html)
    assert re.sub(r"</?(i|span)[^>]*>", "", html) == seen


def test_plain_text_keeps_symbols_and_drops_marks() -> None:
    assert to_text(r"**So** $\alpha = \exp(m_{old} - m_i)$, see `f`") == "So α = exp(m_(old) - m_i), see `f`"


@pytest.mark.parametrize("wrapped", ["{}", "`{}`", "${}$", "**{}**", "```\n{}\n```", r"$\text{{{}}}$", "$x_{{{}}}$"])
@pytest.mark.parametrize("attack", ["<script>alert(1)</script>", '<img src=x onerror="a()">', "</code></div>", "&lt;"])
def test_no_text_brings_its_own_tags(wrapped: str, attack: str) -> None:
    allowed = re.compile(r"</?(p|pre|code|strong|i|sub|sup|span)( style=\"line-height: 0\"| class=\"tw-math\")?>")
    rest = allowed.sub("", to_html(wrapped.format(attack)))
    assert "<" not in rest
    assert ">" not in rest
