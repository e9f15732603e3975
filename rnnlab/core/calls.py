"""Calls that configs name as strings, ``"name(option=literal, …)"``: parsed, never evaluated."""

import ast


def parse(text: str, form: str) -> tuple[str, dict[str, object]]:
    """Split ``"name(option=literal, …)"`` into its name and options.

    Args:
        text: the string.
        form: what is expected, for the message: "a scheme is a name or name(option=value)".
    Raises:
        ValueError: not of that form, or an option given twice.

    >>> parse("lion(b1=0.95)", "an optimizer is a name or name(option=value)")
    ('lion', {'b1': 0.95})
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
        call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
        if not isinstance(call.func, ast.Name) or call.args:
            raise SyntaxError
        name = call.func.id
        pairs = [(keyword.arg, ast.literal_eval(keyword.value)) for keyword in call.keywords]
        if any(option is None for option, _ in pairs):  # **{…}
            raise SyntaxError
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise ValueError(f"{form}, got {text!r}") from None
    options = {str(option): value for option, value in pairs}
    if len(options) < len(pairs):
        given = ", ".join(str(option) for option, _ in pairs)
        raise ValueError(f"{text!r} gives an option twice: {given}")
    return name, options
