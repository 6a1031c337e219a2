"""What the app says. `greeted` is kept through a hot update."""

__keep__ = ["greeted"]
__required_attrs__ = ["greet"]
greeted = 0


def greet(second):
    """One line, friendlier."""
    global greeted
    greeted += 1
    return _line(second)


def _line(second):
    return f"Good to see you in second {second}"


def __self_check__():
    return "5" in _line(5)
