; The installer of programs for a terminal, for one user of Windows. `kuzflow package-tools` fills in what stands between @ signs,
; and escapes it for a string in double quotes; a `$` of such a text becomes ${DOLLAR}.
;
; Switches: /S (silent), /NoPath (PATH stays as it is), /D=FOLDER (the last one). Of the uninstaller: /S.
; Exit codes: 0 done, 1 cancelled, 2 failed, 4 a program runs.

Unicode true
; The 32-bit programs that NSIS makes by itself do not start where only 64-bit programs do.
Target amd64-unicode
ManifestDPIAware true
SetCompressor /SOLID lzma
SetCompressorDictSize 32
; The same input gives the same bytes.
SetDateSave off
AllowSkipFiles off
ShowInstDetails nevershow
ShowUninstDetails nevershow
RequestExecutionLevel user
BrandingText " "

; In a text of the program, and in one of the version resource, which is taken as it is.
!define DOLLAR "$$"
!define DOLLAR_FIXED "$"
!define UNINSTALL_KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\@ID@"
!include MUI2.nsh
!include FileFunc.nsh
!include LogicLib.nsh

Name "@NAME@" "@NAME_FOR_LABELS@"
; NSIS warns of the name setup.exe: Windows loads other libraries into a program of that name.
OutFile "installer.exe"
VIProductVersion "@VERSION_NUMBERS@"
VIAddVersionKey /LANG=0 "ProductName" "@NAME_FIXED@"
VIAddVersionKey /LANG=0 "CompanyName" "@PUBLISHER_FIXED@"
VIAddVersionKey /LANG=0 "FileDescription" "@NAME_FIXED@ Setup"
VIAddVersionKey /LANG=0 "FileVersion" "@VERSION_FIXED@"
VIAddVersionKey /LANG=0 "ProductVersion" "@VERSION_FIXED@"
VIAddVersionKey /LANG=0 "LegalCopyright" "@COPYRIGHT_FIXED@"

!define MUI_ICON "icon.ico"
!define MUI_UNICON "icon.ico"
!define MUI_WELCOMEFINISHPAGE_BITMAP "welcome.bmp"
; The page's place for it has another shape in each language and font: white fills the rest.
!define MUI_WELCOMEFINISHPAGE_BITMAP_STRETCH AspectFitHeight
!define MUI_ABORTWARNING
!insertmacro MUI_PAGE_WELCOME
!ifdef WITH_LICENSE
  !insertmacro MUI_PAGE_LICENSE "license.txt"
!endif
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!define MUI_FINISHPAGE_TEXT "$(Finished)"
!insertmacro MUI_PAGE_FINISH
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"
!insertmacro MUI_LANGUAGE "SimpChinese"

LangString Finished ${LANG_ENGLISH} "@NAME_FOR_LABELS@ is installed. Every terminal that you open from now on finds its commands."
LangString Finished ${LANG_SIMPCHINESE} "@NAME_FOR_LABELS@ 已安装。此后打开的终端即可使用其命令。"
LangString Installing ${LANG_ENGLISH} "Installing @NAME@…"
LangString Installing ${LANG_SIMPCHINESE} "正在安装 @NAME@…"
LangString Uninstalling ${LANG_ENGLISH} "Uninstalling @NAME@…"
LangString Uninstalling ${LANG_SIMPCHINESE} "正在卸载 @NAME@…"
LangString ProgramRuns ${LANG_ENGLISH} "A program of @NAME@ is running.$\r$\n$\r$\nEnd it, then choose Retry."
LangString ProgramRuns ${LANG_SIMPCHINESE} "@NAME@ 的程序正在运行。$\r$\n$\r$\n请将其关闭，然后点击“重试”。"

; One line says what is done, in place of the name of each file.
!macro SHOW_ONLY text
  SetDetailsPrint textonly
  DetailPrint "${text}"
  SetDetailsPrint none
!macroend

; Ends with this line.
!macro GIVE_UP text
  SetDetailsPrint textonly
  Abort "${text}"
!macroend

; HKEY_CURRENT_USER as 64-bit programs write it.
!define USER "p -2147483647"
; A value that may name others, as `%USERPROFILE%`.
!define EXPANDED 2
; Reads a value of any kind as it is written, with the names in it.
!define AS_WRITTEN 0x1000ffff

; Reads the user's PATH. Texts of this language end at 1024 characters, where a PATH goes on, so all stays in memory of the system's:
; $2 the PATH, $3 the kind of its value, $5 the same between semicolons, with $7 (`;FOLDER;`) looked for: found at $6, or 0.
!macro PATH_FUNCTIONS un
Function ${un}ReadPath
  StrCpy $7 ";$INSTDIR;"
  StrCpy $3 ${EXPANDED}
  StrCpy $1 0
  System::Call 'advapi32::RegGetValueW(${USER}, w "Environment", w "Path", i ${AS_WRITTEN}, *i .r3, p 0, *i 0r1) i .r4'
  ${If} $4 <> 0
    StrCpy $3 ${EXPANDED}
    StrCpy $1 0
  ${EndIf}
  IntOp $0 $1 + 8192
  System::Alloc $0
  Pop $2
  System::Alloc $0
  Pop $5
  ${If} $1 > 0
    System::Call 'advapi32::RegGetValueW(${USER}, w "Environment", w "Path", i ${AS_WRITTEN}, *i .r3, p r2, *i r1r1) i .r4'
  ${EndIf}
  System::Call 'kernel32::lstrcatW(p r5, w ";")'
  System::Call 'kernel32::lstrcatW(p r5, p r2)'
  System::Call 'kernel32::lstrcatW(p r5, w ";")'
  System::Call 'shlwapi::StrStrIW(p r5, w r7) p .r6'
FunctionEnd

; Makes the text at $2 the user's PATH, and tells the programs that run.
Function ${un}WritePath
  System::Call 'kernel32::lstrlenW(p r2) i .r0'
  IntOp $0 $0 + 1
  IntOp $0 $0 * 2
  System::Call 'shlwapi::SHSetValueW(${USER}, w "Environment", w "Path", i r3, p r2, i r0) i .r4'
  SendMessage ${HWND_BROADCAST} ${WM_SETTINGCHANGE} 0 "STR:Environment" /TIMEOUT=500
FunctionEnd
!macroend
!insertmacro PATH_FUNCTIONS ""
!insertmacro PATH_FUNCTIONS "un."

Function AddToPath
  Call ReadPath
  ${If} $6 P= 0
    System::Call 'kernel32::lstrlenW(p r2) i .r0'
    ${If} $0 > 0
      System::Call 'kernel32::lstrcatW(p r2, w ";")'
    ${EndIf}
    StrCpy $7 $INSTDIR
    System::Call 'kernel32::lstrcatW(p r2, w r7)'
    Call WritePath
  ${EndIf}
  System::Free $2
  System::Free $5
FunctionEnd

Function un.RemoveFromPath
  Call un.ReadPath
  ${If} $6 P<> 0
    ; What follows the folder, with the semicolon behind it, takes its place; then the semicolons at both ends go.
    StrLen $0 $7
    IntOp $0 $0 - 1
    IntOp $0 $0 * 2
    IntPtrOp $0 $6 + $0
    System::Call 'kernel32::lstrlenW(p r0) i .r1'
    IntOp $1 $1 + 1
    IntOp $1 $1 * 2
    System::Call 'ntdll::RtlMoveMemory(p r6, p r0, p r1)'
    System::Call 'kernel32::lstrlenW(p r5) i .r0'
    ${If} $0 > 2
      IntOp $0 $0 - 1
      IntPtrOp $1 $5 + 2
      System::Call 'kernel32::lstrcpynW(p r2, p r1, i r0)'
      Call un.WritePath
    ${Else}
      System::Call 'shlwapi::SHDeleteValueW(${USER}, w "Environment", w "Path")'
    ${EndIf}
  ${EndIf}
  System::Free $2
  System::Free $5
FunctionEnd

Function .onInit
  SetShellVarContext current
  ReadRegStr $0 HKCU "${UNINSTALL_KEY}" "InstallLocation"
  ; Empty but for /D=.
  ${If} $INSTDIR == ""
    StrCpy $INSTDIR $0
  ${EndIf}
  ${If} $INSTDIR == ""
    StrCpy $INSTDIR "$LOCALAPPDATA\Programs\@FOLDER@"
  ${EndIf}
FunctionEnd

; A program that runs cannot be replaced, and can be moved aside; the next installation removes it.
!macro MOVE_ASIDE program
  Delete "$INSTDIR\${program}.old"
  ClearErrors
  Delete "$INSTDIR\${program}"
  ${If} ${Errors}
    Rename "$INSTDIR\${program}" "$INSTDIR\${program}.old"
  ${EndIf}
!macroend

Section
  !insertmacro SHOW_ONLY "$(Installing)"
  SetOutPath "$INSTDIR"
@FILES@
  WriteUninstaller "$INSTDIR\uninstall.exe"
  ${GetParameters} $R0
  ClearErrors
  ${GetOptions} $R0 "/NoPath" $0
  ${If} ${Errors}
    Call AddToPath
  ${EndIf}
  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayName" "@NAME@"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayVersion" "@VERSION@"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayIcon" "$INSTDIR\uninstall.exe"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "Publisher" "@PUBLISHER@"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "URLInfoAbout" "@HOMEPAGE@"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${UNINSTALL_KEY}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "EstimatedSize" @KILOBYTES@
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "NoModify" 1
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "NoRepair" 1
SectionEnd

; Waits until nobody runs the program: such a file cannot be opened for writing.
!macro CHECK_ENDED program
  ${If} ${FileExists} "$INSTDIR\${program}"
    ClearErrors
    FileOpen $0 "$INSTDIR\${program}" a
    ${If} ${Errors}
      MessageBox MB_RETRYCANCEL|MB_ICONEXCLAMATION "$(ProgramRuns)" /SD IDCANCEL IDRETRY retry
      SetErrorLevel 4
      !insertmacro GIVE_UP "$(ProgramRuns)"
    ${EndIf}
    FileClose $0
  ${EndIf}
!macroend

Section "Uninstall"
  !insertmacro SHOW_ONLY "$(Uninstalling)"
  SetShellVarContext current
  retry:
@PROGRAMS_CHECKED@
  Call un.RemoveFromPath
  SetOutPath "$TEMP"
@FILES_REMOVED@
  Delete "$INSTDIR\uninstall.exe"
  ; Only if it is empty: files that a person has put there stay.
  RMDir "$INSTDIR"
  DeleteRegKey HKCU "${UNINSTALL_KEY}"
SectionEnd
!ifdef UNINSTALLER_COPY
  ; The uninstaller is copied out of the first run, signed, and copied into the second.
  !uninstfinalize '${UNINSTALLER_COPY}'
!endif
