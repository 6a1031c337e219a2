# What Wine cannot show, on a real Windows 10 or 11: a person runs this, and reads the last line.
#
#   powershell -ExecutionPolicy Bypass -File acceptance.ps1 -Programs C:\folder\with\both\programs [-Setup C:\...\Setup.exe] [-NoQuestions]
#
# The folder holds kuzflow.exe and kuzflow-launcher.exe. The script makes a small app with the compiler of the .NET Framework, which is a part of
# Windows, and uses a temporary folder, port 26411 and the user's own start menu. It removes what it makes. About four minutes.
# -Setup        a Setup.exe of any app from `kuzflow package`; it is installed and removed twice: for this user, and for all users, for which
#               Windows asks for an administrator. Leave it out on a computer where that app is installed.
# -NoQuestions  for a computer without a person. What only eyes can judge is left out then, and the last line says so.
param([Parameter(Mandatory)] [string] $Programs, [int] $Port = 26411, [string] $Setup = '', [switch] $NoQuestions)
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
$script:left = @()

function Check([string] $what, [scriptblock] $test) {
    try {
        if (& $test) { $script:passed++; Write-Host "ok      $what"; return }
        $why = 'it is not so'
    } catch { $why = $_.Exception.Message }
    $script:failed += $what
    Write-Host "FAILED  ${what}: $why" -ForegroundColor Red
}

# What only a person sees.
function Ask([string] $what, [string] $question) {
    if ($NoQuestions) { $script:left += $what; Write-Host "not asked  $what" -ForegroundColor Yellow; return }
    Check $what { (Read-Host "        $question [y/n]") -eq 'y' }
}
function Leave([string] $what, [string] $why) {
    $script:left += $what
    Write-Host "left out   ${what}: $why" -ForegroundColor Yellow
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

# What the system knows of a window.
Add-Type -Namespace Acceptance -Name Screen -MemberDefinition @'
[DllImport("user32.dll")] public static extern IntPtr GetWindowDpiAwarenessContext(IntPtr window);
[DllImport("user32.dll")] public static extern bool AreDpiAwarenessContextsEqual(IntPtr one, IntPtr other);
[DllImport("user32.dll")] public static extern int GetDpiForWindow(IntPtr window);
'@
function LauncherWindow {
    $found = Get-Process kuzflow-launcher -ErrorAction SilentlyContinue | Where-Object { $_.Path -eq $launcher -and $_.MainWindowHandle -ne 0 }
    if ($found) { @($found)[0].MainWindowHandle } else { [IntPtr]::Zero }
}
function CloseLauncherWindow {
    Get-Process kuzflow-launcher -ErrorAction SilentlyContinue | Where-Object { $_.Path -eq $launcher } |
        ForEach-Object { $_.CloseMainWindow() | Out-Null }
}
# Opens each new file below a folder for a moment, as a virus scanner does, until a file named `stop` stands beside the folder.
$scanner = {
    param([string] $folder)
    $seen = @{}
    while (-not (Test-Path -LiteralPath "$folder.stop")) {
        # Folders and files go while this looks.
        try {
            foreach ($path in [IO.Directory]::EnumerateFiles("\\?\$folder", '*', 'AllDirectories')) {
                if ($seen[$path]) { continue }
                $seen[$path] = $true
                try { $file = [IO.File]::Open($path, 'Open', 'Read', 'Read'); Start-Sleep -Milliseconds 30; $file.Close() } catch { }
            }
        } catch { }
        Start-Sleep -Milliseconds 5
    }
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
    $folder = Join-Path $launcherHome 'containers\acceptance_1.1.0_Windows_AMD64\app'
    Check 'what a scanner has taken away is found and fetched again' {
        Remove-Item (Join-Path $folder 'app.exe')
        $found = (Launcher @('verify', '1.1.0')).Code -eq 1
        $mended = (Launcher @('verify', '1.1.0', '--repair')).Code -eq 0
        $found -and $mended -and (Launcher @('verify', '1.1.0')).Code -eq 0
    }

    # Real locks: a scanner of this script's own opens every new file, and the system's own looks at each of 600 small programs.
    $many = @{}
    1..600 | ForEach-Object { $many["parts\part $_.dat"] = "part $_ of 1.3.0" }
    Release '1.3.0' $many
    1..60 | ForEach-Object { Copy-Item (Join-Path $root 'app.exe') (Join-Path $root "app 1.3.0\parts\tool $_.exe") }
    Publisher @('build', '--app', (Join-Path $root 'app 1.3.0'), '--out', (Join-Path $root '1.3.1.kuzflow'), '--name', 'acceptance',
        '--app-version', '1.3.1', '--entry', 'exe:app.exe', '--runtime', 'none', '--display-name', "Acceptance $chinese", '--level', '1')
    Publisher @('publish', (Join-Path $root '1.3.1.kuzflow'), '--repo', $publisher)
    $job = Start-Job -ScriptBlock $scanner -ArgumentList $launcherHome
    Check 'an update while every new file is opened by a scanner' { (Result @('update')).status -eq 'installed' }
    Check 'and it starts' { (Launcher @('--headless', 'run', '--', '0')).Output -match 'version=1.3.1' }
    Check 'and every file of it is whole' { (Launcher @('verify')).Code -eq 0 }
    [IO.File]::WriteAllText("$launcherHome.stop", '')
    Wait-Job $job | Remove-Job
    $defender = $(try { (Get-MpComputerStatus -ErrorAction Stop).RealTimeProtectionEnabled } catch { $false })
    if (-not $defender) { Leave 'the virus scanner of Windows' 'it is off, or another one is installed; the checks above had only the script''s own' }

    # A file from the network bears a mark, at which SmartScreen looks when a person double-clicks. A program that starts it is not asked.
    Set-Content -LiteralPath $launcher -Stream Zone.Identifier -Value "[ZoneTransfer]`r`nZoneId=3"
    Check 'a launcher from the network starts the app' { (Launcher @('--headless', 'run', '--', '0')).Output -match 'version=1.3.1' }
    if (-not $NoQuestions) {
        Write-Host '        Now Explorer opens the launcher as a double click does. SmartScreen may warn of an unknown publisher: "More info", "Run anyway".'
        & explorer.exe "/select,`"$launcher`""
        Write-Host '        Then a window says that its settings are missing, which is so: they lie in another folder.'
        Ask 'a double click on a launcher from the network' 'Double-click kuzflow-launcher.exe. Did that window come, perhaps after "Run anyway"?'
        CloseLauncherWindow
    } else { Leave 'SmartScreen at a double click' 'nobody is asked' }
    Remove-Item -LiteralPath $launcher -Stream Zone.Identifier -ErrorAction SilentlyContinue

    # The launcher's window on the real screen.
    $third = StartLauncher @('window')
    Check 'the launcher''s window opens' { Until { (LauncherWindow) -ne [IntPtr]::Zero } }
    Check 'the system does not stretch it: it draws in the screen''s own pixels' {
        $context = [Acceptance.Screen]::GetWindowDpiAwarenessContext((LauncherWindow))
        [Acceptance.Screen]::AreDpiAwarenessContextsEqual($context, [IntPtr](-4))
    }
    $scale = [Acceptance.Screen]::GetDpiForWindow((LauncherWindow)) / 96
    Write-Host "        This screen draws at $($scale * 100) %."
    Ask 'letters at this scale' 'Look at the launcher''s window. Are letters and lines sharp, nothing cut off, Chinese letters in place?'
    Ask 'another screen or scale' 'Move the window to a screen with another scale (or change the scale in Settings). Is it as sharp and as large there?'
    Ask 'the taskbar' 'Has the window the launcher''s icon in the taskbar, and not a blank one?'
    Check 'no console comes with it' { -not (Get-CimInstance Win32_Process -Filter "Name='conhost.exe' and ParentProcessId=$($third.Id)") }
    CloseLauncherWindow
    Check 'it closes at a message' { Until { $third.HasExited } }

    # Windows' own notifications.
    Release '1.4.0'
    $settings = [IO.File]::ReadAllText($config) -replace 'delay_seconds = \d+', 'delay_seconds = 0' -replace 'notification = "\w+"', 'notification = "system"'
    [IO.File]::WriteAllText($config, $settings)
    $fourth = StartLauncher @('run')
    Check 'the app is there before the notification' { Until { Get-Process app -ErrorAction SilentlyContinue | Where-Object MainWindowTitle -eq 'Acceptance 1.3.1' } }
    Ask 'a notification of Windows' 'Within some seconds a notification of 1.4.0 comes, with the app''s name. Did it? (It is also in the notification centre.)'
    Ask 'its button' 'Press its button for "now". Was the update installed, with progress shown?'
    Get-Process app -ErrorAction SilentlyContinue | ForEach-Object { $_.CloseMainWindow() | Out-Null }
    CloseLauncherWindow
    Check 'the launcher beside the app ends after it' { Until { $fourth.HasExited } }

    Check 'the shortcut is made' { (Result @('shortcut', '--desktop')).written.Count -ge 3 }
    Check 'the shell reads its target' {
        $menu = Join-Path ([Environment]::GetFolderPath('Programs')) "Acceptance $chinese.lnk"
        (New-Object -ComObject WScript.Shell).CreateShortcut($menu).TargetPath -eq $launcher
    }
    Check 'the registry opens bundles with it' {
        $class = (Get-Content (Join-Path $launcherHome 'desktop.json') -Raw -Encoding UTF8 | ConvertFrom-Json).class
        (Get-Item "HKCU:\Software\Classes\$class\shell\open\command").GetValue('').StartsWith("`"$launcher`"")
    }
    # A launcher with a signature, by certificates of this script's own. Nobody trusts them: the launcher compares publishers.
    $certificate = @{}
    foreach ($name in 'Kuzflow Acceptance', 'Somebody Else') {
        $certificate[$name] = New-SelfSignedCertificate -Type CodeSigningCert -Subject "CN=$name" -CertStoreLocation Cert:\CurrentUser\My
    }
    function Sign([string] $path, [string] $name) { Set-AuthenticodeSignature -FilePath $path -Certificate $certificate[$name] | Out-Null }
    # The launcher with another version in its file, signed.
    function LauncherOf([string] $version, [string] $name) {
        $path = Join-Path $root "launcher $version.exe"
        $latin = [Text.Encoding]::GetEncoding(28591)
        $text = $latin.GetString([IO.File]::ReadAllBytes((Join-Path $Programs 'kuzflow-launcher.exe')))
        $stamped = [regex]::Replace($text, 'kuzflow-launcher-version:\[\d\.\d\.\d\]', "kuzflow-launcher-version:[$version]")
        [IO.File]::WriteAllBytes($path, $latin.GetBytes($stamped))
        Sign $path $name
        $path
    }
    Sign $launcher 'Kuzflow Acceptance'
    Publisher @('publish-launcher', (LauncherOf '9.0.0' 'Kuzflow Acceptance'), '--repo', $publisher)
    Check 'a signed launcher gives way to a newer one of the same publisher' {
        Launcher @('update') | Out-Null
        $subject = (Get-AuthenticodeSignature $launcher).SignerCertificate.Subject
        (Result @('self-test')).version -eq '9.0.0' -and $subject -eq 'CN=Kuzflow Acceptance'
    }
    Check 'one of another publisher is not even published' {
        (Run $kuzflow @('publish-launcher', (LauncherOf '9.0.1' 'Somebody Else'), '--repo', $publisher)).Code -eq 1
    }
    Check 'a file held open by another program does not stop an uninstall from being ended later' {
        $held = [IO.File]::Open((Join-Path $launcherHome 'containers\acceptance_1.3.1_Windows_AMD64\app\app.exe'), 'Open', 'Read', 'None')
        try { Launcher @('uninstall', '--yes') | Out-Null } finally { $held.Close() }
        Launcher @('uninstall', '--yes') | Out-Null
        @(Get-ChildItem $launcherHome).Name -join ',' -eq 'user-data'
    }
    Check 'the shortcut has gone' { -not (Test-Path (Join-Path ([Environment]::GetFolderPath('Programs')) "Acceptance $chinese.lnk")) }

    # Elevation: the setup asks for an administrator only where it is told to install for all users.
    if ($Setup) {
        $uninstallKeys = 'HKCU:\Software\Microsoft\Windows\CurrentVersion\Uninstall', 'HKLM:\Software\Microsoft\Windows\CurrentVersion\Uninstall'
        function Installed { @($uninstallKeys | Where-Object { Test-Path $_ } | Get-ChildItem | ForEach-Object { $_.Name }) }
        function Entry([string[]] $before) {
            $new = Installed | Where-Object { $before -notcontains $_ } | Select-Object -First 1
            if (-not $new) { throw 'there is no new entry among the installed apps' }
            Get-ItemProperty "Registry::$new"
        }
        foreach ($scope in '/CurrentUser', '/AllUsers') {
            $before = Installed
            $verb = if ($scope -eq '/AllUsers') { 'RunAs' } else { 'Open' }
            if ($scope -eq '/AllUsers' -and $NoQuestions) { Leave 'the setup for all users' 'nobody answers the question for an administrator'; continue }
            Check "the silent setup $scope" { (Start-Process $Setup "/S $scope" -Verb $verb -Wait -PassThru).ExitCode -eq 0 }
            Check "the entry among the installed apps $scope" {
                $entry = Entry $before
                $script:entry = $entry
                $entry.DisplayName -and $entry.DisplayVersion -and $entry.Publisher -and $entry.EstimatedSize -gt 0 -and (Test-Path ($entry.DisplayIcon.Trim('"') -replace ',\d+$', ''))
            }
            if ($scope -eq '/AllUsers') {
                Check 'users cannot write there' {
                    try { [IO.File]::WriteAllText((Join-Path $script:entry.InstallLocation.Trim('"') 'x'), ''); $false } catch [UnauthorizedAccessException] { $true }
                }
                Ask 'the app for all users' 'Start the app from the start menu, without rights of an administrator. Did it start (and close it)?'
            }
            $uninstaller = ($script:entry.UninstallString -replace '^"([^"]*)".*', '$1')
            Check "the silent uninstall $scope" {
                Start-Process $uninstaller '/S' -Verb $verb -Wait
                Until { -not (Installed | Where-Object { $before -notcontains $_ }) }
            }
        }
    } else { Leave 'Setup.exe and the rights of an administrator' 'give -Setup' }
} catch {
    $script:failed += "the script: $($_.Exception.Message)"
} finally {
    Get-ChildItem Cert:\CurrentUser\My | Where-Object { 'CN=Kuzflow Acceptance', 'CN=Somebody Else' -contains $_.Subject } | Remove-Item -ErrorAction SilentlyContinue
    if ($server) { Stop-Process -Id $server.Id -Force -ErrorAction SilentlyContinue }
    Get-Process app -ErrorAction SilentlyContinue | Where-Object { $_.Path -and $_.Path.StartsWith($root) } | Stop-Process -Force
    cmd /c "rmdir /s /q `"\\?\$root`"" 2>$null | Out-Null
}
$left = if ($script:left.Count) { "; NOT looked at: $($script:left -join '; ')" } else { '' }
if ($script:failed.Count -eq 0) {
    Write-Host "ACCEPTED: all $script:passed checks hold on $([Environment]::OSVersion.VersionString)$left" -ForegroundColor Green
    exit 0
}
Write-Host "REFUSED: $($script:failed.Count) of $($script:passed + $script:failed.Count) checks failed: $($script:failed -join '; ')$left" -ForegroundColor Red
exit 1
