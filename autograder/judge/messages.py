"""What the judge says, in both languages.

A headline goes out with a grade too, where the inputs are secret. So nothing that the student's code chose freely may
stand in it: no message of an exception, no printed text, and of names only those in the source itself.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Sequence

from autograder.course.model import PropertyText, Text
from autograder.judge.outcome import End, Outcome

BUILTIN_ERRORS = {
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
}
COMMON_TYPES = {"NoneType", "float", "int", "bool", "str", "list", "tuple", "dict", "ndarray", "Parameter", "Size"}
UNDEFINED = re.compile(r"name '(\w+)' is not defined")
# The name of a line magic, a cell magic or a shell command.
IPYTHON = re.compile(r"^((?:%%?|!)\w{1,40})", re.MULTILINE)


def passed(count: int) -> Text:
    if count == 1:
        return Text(en="Right. The one property holds.", zh="正确。这一项检查通过。")
    return Text(en=f"Right. All {count} properties hold.", zh=f"正确。{count} 项检查全部通过。")


def mistakes(diagnoses: Sequence[Text]) -> Text | None:
    """Tell of the mistakes that were named, whether they are none, one, or two at once."""
    if len(diagnoses) < 2:
        return diagnoses[0] if diagnoses else None
    numbered = list(enumerate(diagnoses, start=1))
    return Text(
        en="\n\n".join(["Two things went wrong at once.", *(f"**{n}.** {text.en}" for n, text in numbered)]),
        zh="\n\n".join(["同时出了两处错。", *(f"**{n}.** {text.zh}" for n, text in numbered)]),
    )


def empty() -> Text:
    return Text(en="The cell is still empty.", zh="这个单元格还是空的。")


def too_long(most: int) -> Text:
    return Text(
        en=f"The cell is longer than {most} characters. Keep only what the exercise needs.",
        zh=f"这个单元格超过了 {most} 个字符。请只保留本题需要的代码。",
    )


def forbidden(names: list[str]) -> Text:
    listed = ", ".join(f"`{name}`" for name in names)
    return Text(
        en=f"Your code uses {listed}, which does the work that this exercise asks you to build. "
        "Write that part yourself.",
        zh=f"你的代码用到了 {listed}，它替你做了本题要你亲手实现的事。请自己写出这一部分。",
    )


def forbidden_operators(names: list[str]) -> Text:
    listed = ", ".join(f"`{name}`" for name in names)
    return Text(
        en=f"While your code ran, torch executed {listed}, which this exercise asks you to build. "
        "Write that part yourself.",
        zh=f"运行你的代码时，torch 执行了 {listed}，而这正是本题要你亲手实现的。请自己写出这一部分。",
    )


def not_proven() -> Text:
    return Text(
        en="Your numbers are right. That the data is read only once could not be proven: this machine cannot keep two "
        "calls from sharing files, so it gives no points for it.",
        zh="你的数值是对的。但“数据只读一遍”无法在这里证明：这台机器不能阻止两次调用共享文件，因此不给分。",
    )


def not_run() -> Text:
    return Text(
        en="Not run: earlier cases had already used up the time.",
        zh="未运行：前面的用例已经把时间用完了。",
    )


def wrong(text: PropertyText) -> Text:
    return Text(
        en=f"This property does not hold yet: {_inner(text.en)}.",
        zh=f"这一项还没有通过：{_inner(text.zh)}。",
    )


def wrong_only_when_repeated(function: str) -> Text:
    return Text(
        en=f"`{function}` is right when it is called once and wrong when it is called again. Does it keep something "
        "between calls: a global, a cache, a default argument that it changes?",
        zh=f"`{function}` 单独调用一次是对的，再次调用就错了。它是不是在两次调用之间保留了什么：全局变量、缓存，"
        "或被修改的默认参数？",
    )


def wrong_count(function: str, expected: str, got: str) -> Text:
    return Text(
        en=f"`{function}` must return {expected}, it returned {got}.",
        zh=f"`{function}` 应返回{_in_chinese(expected)}，实际返回了{_in_chinese(got)}。",
    )


def wrong_shape(function: str, shapes: tuple[str, str] | None) -> Text:
    en, zh = f"`{function}` returned a tensor of the wrong shape", f"`{function}` 返回的张量形状不对"
    if shapes:
        en += f": expected {shapes[0]}, got {shapes[1]}"
        zh += f"：应为 {shapes[0]}，实际为 {shapes[1]}"
    return Text(en=en + ".", zh=zh + "。")


def wrong_dtype(function: str, expected: str, got: str) -> Text:
    return Text(
        en=f"`{function}` must return {expected} here, like its input, and it returned {got}.",
        zh=f"`{function}` 在这里应返回 {expected}（与输入一致），实际返回了 {got}。",
    )


def too_much_at_once(got: int | None, allowed: int | None) -> Text:
    en, zh = (
        "The numbers are right, but one operator touches too much at once",
        "数值是对的，但有一个算子一次触及的数据太多",
    )
    if got is not None:
        en += f": {got} elements, where {allowed} are allowed"
        zh += f"：{got} 个元素，而允许的是 {allowed} 个"
    return Text(
        en=en + ". Work on one block at a time.",
        zh=zh + "。请一次只处理一个块。",
    )


def ended(outcome: Outcome, source: str, seconds: float, memory_mib: int) -> Text:
    """Say how a call ended that did not return."""
    name = outcome.function
    match outcome.end:
        case End.NOT_WRITTEN:
            return Text(en=f"You have not written `{name}` yet.", zh=f"你还没有写 `{name}`。")
        case End.MISSING:
            return Text(
                en=f"The cell defines no function named `{name}`. Keep the name that the exercise gives.",
                zh=f"单元格里没有定义名为 `{name}` 的函数。请保留题目给出的函数名。",
            )
        case End.REFUSED:
            got = outcome.error_type if _is_tame(outcome.error_type) else "something else"
            en_got, zh_got = got, got if got != "something else" else "其他类型"
            return Text(
                en=f"`{name}` must return a torch.Tensor (or a tuple of them, where asked for), got {en_got}.",
                zh=f"`{name}` 必须返回 torch.Tensor（题目要求时可以是元组），实际返回了 {zh_got}。",
            )
        case End.TOO_SLOW:
            return Text(
                en=f"`{name}` did not finish within {seconds:g} s. Is there a loop that never ends?",
                zh=f"`{name}` 在 {seconds:g} 秒内没有结束。是否有永远不会结束的循环？",
            )
        case End.IDLE:
            return Text(
                en=f"`{name}` did not finish within {seconds:g} s, and hardly computed: it waited. Does it sleep, or "
                "wait for something that never comes?",
                zh=f"`{name}` 在 {seconds:g} 秒内没有结束，而且几乎没有计算，一直在等待。"
                "它是在 sleep，还是在等永远不会来的东西？",
            )
        case End.OUT_OF_MEMORY:
            return Text(
                en=f"`{name}` asked for more memory than the {memory_mib} MiB that it may use.",
                zh=f"`{name}` 申请的内存超过了允许的 {memory_mib} MiB。",
            )
        case End.STATE_TOO_LARGE:
            return Text(
                en=f"The state that `{name}` returns is larger than it may be: it must not grow with the length of "
                "the row.",
                zh=f"`{name}` 返回的状态超过了允许的大小：状态不能随行的长度增长。",
            )
        case End.STATE_MISSHAPEN:
            return Text(
                en=f"The state that `{name}` returns must have the form of the one that it takes: as many tensors, of "
                "the same shapes and dtypes.",
                zh=f"`{name}` 返回的状态必须与它收到的状态形式相同：张量个数、形状和 dtype 都要一致。",
            )
        case End.QUIT:
            return Text(
                en=f"The process ended before `{name}` had answered. Leave out exit(), quit() and sys.exit().",
                zh=f"`{name}` 还没有给出结果，进程就结束了。请去掉 exit()、quit() 和 sys.exit()。",
            )
        case End.CRASHED:
            return Text(
                en=f"The process crashed while `{name}` ran.",
                zh=f"运行 `{name}` 时进程崩溃了。",
            )
        case End.GARBLED:
            return Text(
                en=f"What came back from `{name}` could not be read. Return plain tensors, and leave the judge's "
                "files alone.",
                zh=f"`{name}` 返回的内容无法读取。请只返回普通张量，并且不要动评测器的文件。",
            )
        case End.SKIPPED:
            return not_run()
        case _:
            return _raised(outcome, source)


def _raised(outcome: Outcome, source: str) -> Text:
    name = outcome.function
    undefined = UNDEFINED.search(outcome.message)
    if outcome.error_type == "NameError" and undefined and re.search(rf"\b{undefined[1]}\b", source):
        missing = undefined[1]
        return Text(
            en=f"`{missing}` is not defined in this cell. The judge runs the text of this cell alone, so everything it "
            "uses, imports included, must stand in it.",
            zh=f"这个单元格里没有定义 `{missing}`。评测只运行这一个单元格的文本，"
            "因此它用到的一切（包括 import）都要写在里面。",
        )
    if outcome.error_type == "SyntaxError" and (command := IPYTHON.search(source)):
        return Text(
            en=f"`{command[1]}` is a command of IPython's and no Python. The judge runs this cell as Python: put the "
            "command into a cell of its own.",
            zh=f"`{command[1]}` 是 IPython 的命令，不是 Python 代码。"
            "评测把这个单元格当作 Python 来运行：请把命令放到另外的单元格里。",
        )
    if outcome.error_type in ("SyntaxError", "IndentationError", "TabError"):
        return Text(
            en="The cell is not valid Python yet; the error below names the line.",
            zh="这个单元格还不是合法的 Python 代码；下面的错误信息指出了行号。",
        )
    if outcome.error_type == "ModuleNotFoundError":
        return Text(
            en=f"`{name}` imports a library that is not there: an answer has PyTorch, NumPy and what comes with "
            "Python, whatever else is installed. The error below names it.",
            zh=f"`{name}` 导入了这里没有的库：答案只能使用 PyTorch、NumPy 和 Python 自带的库，"
            "无论本机还装了什么。下面的错误信息指出了它的名字。",
        )
    if outcome.error_type == "PermissionError":
        return Text(
            en=f"`{name}` raised PermissionError: it asked for something that is not allowed here, such as to start a "
            "program, to use the network, or to change a file that is not its own. Compute the answer in this process.",
            zh=f"`{name}` 抛出了 PermissionError：它想做这里不允许的事，例如启动程序、使用网络，"
            "或修改不属于它的文件。请就在这个进程里算出结果。",
        )
    error = outcome.error_type if outcome.error_type in BUILTIN_ERRORS else "an exception"
    chinese = outcome.error_type if outcome.error_type in BUILTIN_ERRORS else "异常"
    return Text(en=f"`{name}` raised {error}.", zh=f"`{name}` 抛出了 {chinese}。")


def _is_tame(type_name: str) -> bool:
    return type_name in COMMON_TYPES


def _inner(text: str) -> str:
    return text.strip().rstrip(".。")


def _in_chinese(count: str) -> str:
    if count == "one tensor":
        return "一个张量"
    return re.sub(r"a tuple of (\d+)", r"含 \1 个张量的元组", count)
