//! Variables of the user's session that change how a container's own runtime works: they are meant
//! for another Python or another Qt.
//!
//! Values only. The lists leave out what the user sets for programs in general (`LD_LIBRARY_PATH`,
//! `LD_PRELOAD`, `SSL_CERT_FILE`, languages, proxies): drivers, tools and company networks depend
//! on it.

/// Names the variables that a launcher changed for its app, separated by blanks. Whoever starts
/// another program from there takes them back.
pub const CHANGED: &str = "KUZFLOW_CHANGED";

/// Where Python looks for its own library. No other program needs them in a session, and they break
/// the system's own Python too.
pub const PYTHON_PLACES: &[&str] =
    &["PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__"];

/// All other variables that Python reads.
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

/// Where Python's Tk looks for its scripts, which fit only one version of Tk.
pub const TCL: &[&str] = &["TCL_LIBRARY", "TK_LIBRARY", "TIX_LIBRARY", "TCLLIBPATH"];

/// Where Qt looks for plugins and modules, which fit only one version of Qt: another version
/// refuses them or crashes.
pub const QT: &[&str] = &[
    "QT_PLUGIN_PATH",
    "QT_QPA_PLATFORM_PLUGIN_PATH",
    "QML_IMPORT_PATH",
    "QML2_IMPORT_PATH",
    "QTWEBENGINEPROCESS_PATH",
    "QTWEBENGINE_RESOURCES_PATH",
    "QTWEBENGINE_LOCALES_PATH",
];
