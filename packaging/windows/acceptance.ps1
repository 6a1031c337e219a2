# What Wine cannot show, on a real Windows 10 or 11: a person runs this, and reads the last line.
#
#   powershell -ExecutionPolicy Bypass -File acceptance.ps1 -Programs C:\folder\with\both\programs
#
# The folder holds kuzflow.exe and kuzflow-launcher.exe. The script makes a small app with the compiler of the .NET Framework, which is a part of
# Windows, and uses a temporary folder, port 26411 and the user's own start menu. It removes what it makes. About two minutes.
param([Parameter(Mandatory)] [string] $Programs, [int] $Port = 26411)
$ErrorActionPreference = 'Stop'
$kuzflow = Join-Path (Resolve-Path $Programs) 'kuzflow.exe'
$chinese = -join [char[]](0x6D4B, 0x8BD5)
$root = Join-Path $env:TEMP "kuzflow acceptance $chinese $PID"
$launcher = Join-Path $root 'launcher\kuzflow-launcher.exe'
$launcherHome = Join-Path $root 'home'
$publisher = Join-Path $root 'publisher'
$config = Join-Path $publisher 'launcher\launcher.toml'
$script:passed = 0
$script:failed = @()

function Check([string] $what, [scriptblock] $test) {
    try {
        if (& $test) { $script:passed++; Write-Host "ok      $what"; return }
        $why = 'it is not so'
    } catch { $why = $_.Exception.Message }
    $script:failed += $what
    Write-Host "FAILED  ${what}: $why" -ForegroundColor Red
}

# Runs a program to its end; its output and exit code. A launcher is a program without a console, for which the `&` operator does not wait.
function Run([string] $program, [string[]] $arguments) {
    $start = New-Object Diagnostics.ProcessStartInfo $program
    $start.Arguments = ($arguments | ForEach-Object { '"' + $_ + '"' }) -join ' '
    $start.UseShellExecute = $false
    $start.RedirectStandardOutput = $true
    $start.StandardOutputEncoding = [Text.Encoding]::UTF8
    $process = [Diagnostics.Process]::Start($start)
    $output = $process.StandardOutput.ReadToEnd()
    $process.WaitForExit()
    @{ Output = $output; Code = $process.ExitCode }
}
function Publisher([string[]] $arguments) {
    $run = Run $kuzflow $arguments
    if ($run.Code -ne 0) { throw "kuzflow $arguments ended with $($run.Code)" }
}
function Launcher([string[]] $arguments) {
    Run $launcher (@('--home', $launcherHome, '--config', $config, '--language', 'en') + $arguments)
}
# The last line of a verb's JSON.
function Result([string[]] $arguments) {
    $run = Launcher (@('--json') + $arguments)
    $last = ($run.Output -split "`n" | Where-Object { $_ -match '"result"' } | Select-Object -Last 1)
    ($last | ConvertFrom-Json).result
}
# Starts a launcher and leaves it running.
function StartLauncher([string[]] $arguments) {
    $all = @('--home', $launcherHome, '--config', $config, '--language', 'en') + $arguments
    Start-Process $launcher (($all | ForEach-Object { '"' + $_ + '"' }) -join ' ') -PassThru
}
function Until([scriptblock] $test) {
    $end = (Get-Date).AddSeconds(30)
    while ((Get-Date) -lt $end) { if (& $test) { return $true }; Start-Sleep -Milliseconds 200 }
    $false
}

# The app: a window, and a file of the user's that stays open while it runs. With an argument it ends at once, with that exit code.
$source = @'
using System; using System.IO; using System.Windows.Forms;
static class App {
    [STAThread] static int Main(string[] arguments) {
        string version = Environment.GetEnvironmentVariable("KUZFLOW_VERSION");
        Console.WriteLine("version=" + version);
        string home = Environment.GetEnvironmentVariable("KUZFLOW_HOME");
        if (File.Exists(Path.Combine(home, "app\\crash"))) return unchecked((int)0xC0000005);
        if (arguments.Length > 0) return unchecked((int)uint.Parse(arguments[0]));
        using (File.Open(Path.Combine(home, "data\\open.db"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None))
            Application.Run(new Form { Text = "Acceptance " + version });
        return 0;
    }
}
'@
function Release([string] $version, [hashtable] $files = @{}) {
    $app = Join-Path $root "app $version"
    New-Item -ItemType Directory -Force $app | Out-Null
    Copy-Item (Join-Path $root 'app.exe') $app
    foreach ($name in $files.Keys) {
        $path = Join-Path $app $name
        # The prefix lets the .NET Framework write paths that are longer than 260 characters.
        [IO.Directory]::CreateDirectory('\\?\' + (Split-Path $path)) | Out-Null
        [IO.File]::WriteAllText('\\?\' + $path, $files[$name])
    }
    $package = Join-Path $root "$version.kuzflow"
    Publisher @('build', '--app', $app, '--out', $package, '--name', 'acceptance', '--app-version', $version,
        '--entry', 'exe:app.exe', '--runtime', 'none', '--display-name', "Acceptance $chinese", '--level', '1')
    Publisher @('publish', $package, '--repo', $publisher)
}

$server = $null
try {
    New-Item -ItemType Directory -Force (Join-Path $root 'launcher') | Out-Null
    Copy-Item (Join-Path $Programs 'kuzflow-launcher.exe') $launcher
    Add-Type -TypeDefinition $source -OutputAssembly (Join-Path $root 'app.exe') -OutputType ConsoleApplication `
        -ReferencedAssemblies System.Windows.Forms
    Publisher @('init', $publisher, '--app', 'acceptance', '--node', "http://127.0.0.1:$Port/")
    # Some 300 characters of folders, with spaces and Chinese letters.
    $deep = ("a folder $chinese\" * 24) + 'text.txt'
    Release '1.0.0' @{ $deep = 'one' }
    $serve = "serve --repo `"$publisher`" --listen 127.0.0.1:$Port"
    $server = Start-Process $kuzflow $serve -PassThru -WindowStyle Hidden
    if (-not (Until { try { (Invoke-WebRequest "http://127.0.0.1:$Port/healthz" -UseBasicParsing).StatusCode -eq 200 } catch { $false } })) {
        throw 'the server does not answer'
    }

    Check 'the first installation, with long paths' { (Result @('update')).status -eq 'installed' }
    Check 'every file is whole' { (Launcher @('verify')).Code -eq 0 }
    Check 'an exit code of four bytes comes back' { (Launcher @('--headless', 'run', '--', '3221225477')).Code -eq -1073741819 }
    Check 'cmd waits in a script, and has the code' {
        $script = Join-Path $root 'start.bat'
        $call = "@`"%KUZFLOW_TEST_LAUNCHER%`" --home `"%KUZFLOW_TEST_HOME%`" --config `"%KUZFLOW_TEST_CONFIG%`" --headless run -- 7"
        [IO.File]::WriteAllText($script, "$call`r`n@exit /b %errorlevel%`r`n")
        $env:KUZFLOW_TEST_LAUNCHER = $launcher; $env:KUZFLOW_TEST_HOME = $launcherHome; $env:KUZFLOW_TEST_CONFIG = $config
        cmd /c "`"$script`"" | Out-Null
        $LASTEXITCODE -eq 7
    }
    $first = StartLauncher @('run')
    Check 'the app has its window' { Until { Get-Process app -ErrorAction SilentlyContinue | Where-Object MainWindowTitle -eq 'Acceptance 1.0.0' } }
    Release '1.1.0' @{ $deep = 'two' }
    Check 'an update beside the running app, whose file is open' { (Result @('update')).status -eq 'installed' }
    Check 'a running version is not removed' { (Result @('remove', '1.0.0')).problem.kind -eq 'version_in_use' }
    Stop-Process -Id $first.Id -Force
    Check 'nor is it after its launcher was killed' { (Result @('remove', '1.0.0')).problem.kind -eq 'version_in_use' }
    Get-Process app | ForEach-Object { $_.CloseMainWindow() | Out-Null }
    Check 'the app closes at a message to its window' { Until { -not (Get-Process app -ErrorAction SilentlyContinue) } }
    Check 'the next start is the new version' { (Launcher @('--headless', 'run', '--', '0')).Output -match 'version=1.1.0' }
    Check 'the user''s file has come along' {
        Test-Path (Join-Path $launcherHome 'containers\acceptance_1.1.0_Windows_AMD64\data\open.db')
    }
    Release '1.2.0' @{ 'crash' = '' }
    Check 'a release that crashes is installed' { (Result @('update')).status -eq 'installed' }
    $second = StartLauncher @('run')
    Check 'and gone back from at its first start' { Until { Get-Process app -ErrorAction SilentlyContinue | Where-Object MainWindowTitle -eq 'Acceptance 1.1.0' } }
    Get-Process app -ErrorAction SilentlyContinue | ForEach-Object { $_.CloseMainWindow() | Out-Null }
    Check 'a launcher ends after its app' { Until { $second.HasExited } }
    Check 'the shortcut is made' { (Result @('shortcut', '--desktop')).written.Count -ge 3 }
    Check 'the shell reads its target' {
        $menu = Join-Path ([Environment]::GetFolderPath('Programs')) "Acceptance $chinese.lnk"
        (New-Object -ComObject WScript.Shell).CreateShortcut($menu).TargetPath -eq $launcher
    }
    Check 'the registry opens bundles with it' {
        $class = (Get-Content (Join-Path $launcherHome 'desktop.json') -Raw -Encoding UTF8 | ConvertFrom-Json).class
        (Get-Item "HKCU:\Software\Classes\$class\shell\open\command").GetValue('').StartsWith("`"$launcher`"")
    }
    Check 'a file held open by another program does not stop an uninstall from being ended later' {
        $held = [IO.File]::Open((Join-Path $launcherHome 'containers\acceptance_1.1.0_Windows_AMD64\app\app.exe'), 'Open', 'Read', 'None')
        try { Launcher @('uninstall', '--yes') | Out-Null } finally { $held.Close() }
        Launcher @('uninstall', '--yes') | Out-Null
        @(Get-ChildItem $launcherHome).Name -join ',' -eq 'user-data'
    }
    Check 'the shortcut has gone' { -not (Test-Path (Join-Path ([Environment]::GetFolderPath('Programs')) "Acceptance $chinese.lnk")) }
} catch {
    $script:failed += "the script: $($_.Exception.Message)"
} finally {
    if ($server) { Stop-Process -Id $server.Id -Force -ErrorAction SilentlyContinue }
    Get-Process app -ErrorAction SilentlyContinue | Where-Object { $_.Path -and $_.Path.StartsWith($root) } | Stop-Process -Force
    cmd /c "rmdir /s /q `"\\?\$root`"" 2>$null | Out-Null
}
if ($script:failed.Count -eq 0) {
    Write-Host "ACCEPTED: all $script:passed checks hold on $([Environment]::OSVersion.VersionString)" -ForegroundColor Green
    exit 0
}
Write-Host "REFUSED: $($script:failed.Count) of $($script:passed + $script:failed.Count) checks failed: $($script:failed -join '; ')" -ForegroundColor Red
exit 1
