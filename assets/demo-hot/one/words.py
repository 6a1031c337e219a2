"""What the app says. `greeted` is kept through a hot update."""

__keep__ = ["greeted"]
__required_attrs__ = ["greet"]
greeted = 0


def greet(second):
    """One line."""
    global greeted
    greeted += 1
    return f"Hello, second {second}"


def __self_check__():
    return callable(greet)
