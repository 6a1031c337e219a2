//! Variables of the user's session that change what a container's own runtime does: they are meant
//! for another Python, another Qt.
//!
//! Values only. What the user sets for programs in general (`LD_LIBRARY_PATH`, `LD_PRELOAD`,
//! `SSL_CERT_FILE`, languages, proxies) is in none of these lists: drivers, tools and company
//! networks depend on it.

/// Where Python looks for its own library. No other program has a use for them in a session: a
/// Python of the system breaks by them too.
pub const PYTHON_PLACES: &[&str] =
    &["PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__"];

/// Everything else that Python reads.
pub const PYTHON_VARIABLES: &[&str] = &[
    "PYTHONPATH",
    "PYTHONSAFEPATH",
    "PYTHONSTARTUP",
    "PYTHONOPTIMIZE",
    "PYTHONBREAKPOINT",
    "PYTHONDEBUG",
    "PYTHONINSPECT",
    "PYTHONUNBUFFERED",
    "PYTHONVERBOSE",
    "PYTHONCASEOK",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX",
    "PYTHONHASHSEED",
    "PYTHONINTMAXSTRDIGITS",
    "PYTHONIOENCODING",
    "PYTHONNOUSERSITE",
    "PYTHONUSERBASE",
    "PYTHONWARNINGS",
    "PYTHONFAULTHANDLER",
    "PYTHONTRACEMALLOC",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONASYNCIODEBUG",
    "PYTHONMALLOC",
    "PYTHONMALLOCSTATS",
    "PYTHONLEGACYWINDOWSFSENCODING",
    "PYTHONLEGACYWINDOWSSTDIO",
    "PYTHONCOERCECLOCALE",
    "PYTHONDEVMODE",
    "PYTHONUTF8",
    "PYTHONWARNDEFAULTENCODING",
    "PYTHONNODEBUGRANGES",
    "PYTHONPERFSUPPORT",
    "PYTHON_PERF_JIT_SUPPORT",
    "PYTHON_FROZEN_MODULES",
    "PYTHON_CPU_COUNT",
    "PYTHON_GIL",
    "PYTHON_JIT",
    "PYTHON_COLORS",
    "PYTHON_BASIC_REPL",
    "PYTHON_HISTORY",
    "PYTHON_PRESITE",
    "PYTHONDUMPREFS",
    "PYTHONDUMPREFSFILE",
    "PYTHONTHREADDEBUG",
];

/// Where Python's Tk looks for its scripts, which belong to one version of it.
pub const TCL: &[&str] = &["TCL_LIBRARY", "TK_LIBRARY", "TIX_LIBRARY", "TCLLIBPATH"];

/// Where Qt looks for plugins and modules, which belong to one version of Qt: another one refuses
/// or crashes with them.
pub const QT: &[&str] = &[
    "QT_PLUGIN_PATH",
    "QT_QPA_PLATFORM_PLUGIN_PATH",
    "QML_IMPORT_PATH",
    "QML2_IMPORT_PATH",
    "QTWEBENGINEPROCESS_PATH",
    "QTWEBENGINE_RESOURCES_PATH",
    "QTWEBENGINE_LOCALES_PATH",
];
