"""Somebody else's attention: names that an answer may not use, found in its text and among the operators that ran."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import torch

# Whatever the exercise: these do what the course teaches to build.
ALWAYS = (
    "scaled_dot_product_attention",
    "flex_attention",
    "MultiheadAttention",
    "multi_head_attention_forward",
    "TransformerEncoderLayer",
    "TransformerDecoderLayer",
    "flash_attn",
    "xformers",
    "memory_efficient_attention_pytorch",
    "_refs",
    "_decomp",
    "_prims",
    "_dynamo",
    "_inductor",
    "tilewise",
    "autograder",
)
COMPILE = "torch.compile"
# Parts of operator names under which torch's own attention shows up, however it was called.
FUSED = (
    "scaled_dot_product",
    "fused_sdp",
    "flash_attention",
    "efficient_attention",
    "flex_attention",
    "multi_head_attention",
    "transformer_encoder_layer",
)
# Where torch keeps what an operator does: for each kind of tensor in the processor's memory, or for all kinds.
KEYS = (
    "CPU",
    "MkldnnCPU",
    "NestedTensorCPU",
    "QuantizedCPU",
    "SparseCPU",
    "SparseCsrCPU",
    "CompositeExplicitAutograd",
    "CompositeExplicitAutogradNonFunctional",
    "CompositeImplicitAutograd",
)


def used_names(source: str, forbidden: tuple[str, ...]) -> list[str]:
    """Give the forbidden names that the text uses, in the order in which they stand; none if it does not parse.

    An import, an attribute (`torch.softmax`), or a string that is exactly such a name (as for getattr) counts. A name
    that the cell defines itself does not, nor do docstrings, sentences and `self.softmax`.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # running it will say so, with the line
        return []
    names = {*ALWAYS, *forbidden}
    own = _defined(tree)
    said_to_people = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    nodes = (node for node in ast.walk(tree) if id(node) not in said_to_people or not isinstance(node, ast.Constant))
    found = dict.fromkeys(name for node in nodes for name in _mentions(node, own) if name in names)
    if COMPILE.split(".")[1] in _torch_attributes(tree):
        found[COMPILE] = None
    return list(found)


def seen_operators(operators: frozenset[str], forbidden: tuple[str, ...]) -> list[str]:
    """Give what is forbidden among the operators that ran: `_softmax`, `_safe_softmax` are softmax by inner names.

    The report comes out of the student's process, so only names from our own lists are handed on.
    """
    inner = {name for name in forbidden for ran in operators if f"_{ran.strip('_')}".endswith(f"_{name}")}
    return sorted(inner | {part for part in FUSED for ran in operators if part in ran})


@cache
def operators_of(forbidden: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Name torch's operators that do what is forbidden, each with its overload and keys, for a worker to switch off."""
    names = sorted(torch._C._dispatch_get_all_op_names())
    found = [n for n in names if seen_operators(frozenset({n.partition("::")[2].partition(".")[0]}), forbidden)]
    return tuple((name, keys) for name in found if (keys := _keys_of(name)))


def _keys_of(operator: str) -> tuple[str, ...]:
    """Give the dispatch keys under which an operator works on some kind of tensor of the processor's."""
    return tuple(key for key in KEYS if torch._C._dispatch_has_kernel_for_dispatch_key(operator, key))


def _mentions(node: ast.AST, own: set[str]) -> Iterator[str]:
    match node:
        case ast.Import(names=aliases):
            for alias in aliases:
                yield from alias.name.split(".")
        case ast.ImportFrom(module=module, names=aliases):
            yield from (module or "").split(".")
            yield from (alias.name for alias in aliases)
        case ast.Attribute(value=ast.Name(id="self" | "cls")):
            return
        case ast.Attribute(attr=attribute):
            yield attribute
        case ast.Name(id=name) if name not in own:
            yield name
        case ast.Constant(value=str(text)) if re.fullmatch(r"[\w.]{1,200}", text.strip()):
            yield from text.strip().split(".")


def _defined(tree: ast.AST) -> set[str]:
    """Names that the cell gives a meaning to by itself (an import gives them somebody else's)."""
    own = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                own.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                own.add(name)
    return own


def _torch_attributes(tree: ast.AST) -> set[str]:
    """What is taken straight from the module: `torch.X`, `t.X` after `import torch as t`, `from torch import X`."""
    aliases, taken = {"torch"}, set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                aliases |= {alias.asname for alias in names if alias.name == "torch" and alias.asname}
            case ast.ImportFrom(module="torch", names=names):
                taken |= {alias.name for alias in names}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in aliases:
                taken.add(attribute)
    return taken
