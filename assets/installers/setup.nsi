; The installer of an app for Windows. `kuzflow package` fills in what stands between @ signs, and
; escapes it for a string in double quotes; a `$` of such a text becomes ${DOLLAR}.
;
; Switches: /S (silent), /AllUsers, /CurrentUser, /NoDesktopIcon, /ReplaceShortcuts, /D=FOLDER (the last one).
; Of the uninstaller: /S, /DeleteData.
; Exit codes: 0 done, 1 cancelled, 2 failed, 3 rights of an administrator are needed, 4 the app runs.

Unicode true
; The 32-bit programs that NSIS makes by itself do not start where only 64-bit programs do.
Target amd64-unicode
ManifestDPIAware true
SetCompressor @SOLID@lzma
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
!define CLASSES "Software\Classes"
!include MUI2.nsh
!include FileFunc.nsh
!include LogicLib.nsh
!include nsDialogs.nsh

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

Var AllUsers
Var IsUpgrade
Var FormerName
Var DesktopIcon
Var DesktopIconBox
Var ReplaceShortcuts
Var DeleteData
Var DeleteDataBox

!define MUI_ICON "icon.ico"
!define MUI_UNICON "icon.ico"
!define MUI_WELCOMEFINISHPAGE_BITMAP "welcome.bmp"
; The page's place for it has another shape in each language and font: white fills the rest.
!define MUI_WELCOMEFINISHPAGE_BITMAP_STRETCH AspectFitHeight
!define MUI_ABORTWARNING
!define MUI_WELCOMEPAGE_TEXT "$(WelcomeText)"
!define MUI_FINISHPAGE_RUN
!define MUI_FINISHPAGE_RUN_FUNCTION StartApp

!insertmacro MUI_PAGE_WELCOME
!ifdef WITH_LICENSE
  !insertmacro MUI_PAGE_LICENSE "license.txt"
!endif
!insertmacro MUI_PAGE_DIRECTORY
Page custom OptionsPage OptionsPageLeave
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
UninstPage custom un.DataPage un.DataPageLeave
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"
!insertmacro MUI_LANGUAGE "SimpChinese"

LangString WelcomeText ${LANG_ENGLISH} "@NAME_FOR_LABELS@ will be installed on this computer.$\r$\n$\r$\n$_CLICK"
LangString WelcomeText ${LANG_SIMPCHINESE} "即将在本机上安装 @NAME_FOR_LABELS@。$\r$\n$\r$\n$_CLICK"
LangString OptionsTitle ${LANG_ENGLISH} "Shortcuts"
LangString OptionsTitle ${LANG_SIMPCHINESE} "快捷方式"
LangString OptionsSubtitle ${LANG_ENGLISH} "@NAME_FOR_LABELS@ gets an entry in the Start menu."
LangString OptionsSubtitle ${LANG_SIMPCHINESE} "@NAME_FOR_LABELS@ 会出现在“开始”菜单中。"
LangString OptionsDesktop ${LANG_ENGLISH} "An icon on the &desktop as well"
LangString OptionsDesktop ${LANG_SIMPCHINESE} "同时在桌面上创建图标(&D)"
; The window itself, since the app's own icon starts the app at once.
!define WINDOW_ENGLISH "Versions and update settings"
!define WINDOW_CHINESE "版本与更新设置"
LangString WindowTitle ${LANG_ENGLISH} "${WINDOW_ENGLISH}"
LangString WindowTitle ${LANG_SIMPCHINESE} "${WINDOW_CHINESE}"
LangString DataTitle ${LANG_ENGLISH} "Uninstall @NAME_FOR_LABELS@"
LangString DataTitle ${LANG_SIMPCHINESE} "卸载 @NAME_FOR_LABELS@"
LangString DataSubtitle ${LANG_ENGLISH} "All installed versions of @NAME_FOR_LABELS@ are removed from this computer."
LangString DataSubtitle ${LANG_SIMPCHINESE} "本机上已安装的 @NAME_FOR_LABELS@ 的所有版本都会被删除。"
LangString DataKept ${LANG_ENGLISH} "Your settings and data stay on this computer. If you install @NAME_FOR_LABELS@ again, you find them as you left them."
LangString DataKept ${LANG_SIMPCHINESE} "您的设置和数据会保留在本机上。再次安装 @NAME_FOR_LABELS@ 后，一切如旧。"
LangString DataDelete ${LANG_ENGLISH} "&Delete my settings and data, too"
LangString DataDelete ${LANG_SIMPCHINESE} "同时删除我的设置和数据(&D)"
LangString AppRuns ${LANG_ENGLISH} "@NAME@ is running, or its files are in use.$\r$\n$\r$\nSave your work and close @NAME@, then choose Retry."
LangString AppRuns ${LANG_SIMPCHINESE} "@NAME@ 正在运行，或其文件正被使用。$\r$\n$\r$\n请保存您的工作并关闭 @NAME@，然后点击“重试”。"
LangString Installing ${LANG_ENGLISH} "Installing @NAME@…"
LangString Installing ${LANG_SIMPCHINESE} "正在安装 @NAME@…"
LangString Uninstalling ${LANG_ENGLISH} "Uninstalling @NAME@…"
LangString Uninstalling ${LANG_SIMPCHINESE} "正在卸载 @NAME@…"
LangString Uninstalled ${LANG_ENGLISH} "@NAME@ is uninstalled."
LangString Uninstalled ${LANG_SIMPCHINESE} "@NAME@ 已卸载。"
LangString NeedsAdministrator ${LANG_ENGLISH} "Only an administrator can do this for all users of this computer."
LangString NeedsAdministrator ${LANG_SIMPCHINESE} "只有管理员才能为本机的所有用户执行此操作。"
@DOCUMENT_NAMES@

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

; Removes what the menu and the desktop have of an app of this name, in whichever language it was made.
; A link on the desktop that no setup has made is another's. An older setup has not noted that.
!macro REMOVE_LINKS name
  Delete "$SMPROGRAMS\${name}.lnk"
  Delete "$SMPROGRAMS\${name} - ${WINDOW_ENGLISH}.lnk"
  Delete "$SMPROGRAMS\${name} - ${WINDOW_CHINESE}.lnk"
  ReadRegStr $0 SHCTX "${UNINSTALL_KEY}" "DesktopIcon"
  ${If} $0 != "0"
    Delete "$DESKTOP\${name}.lnk"
  ${EndIf}
!macroend

!macro FUNCTIONS un program
; Whether this user may write for all users; the answer is on the stack: 1 or 0.
Function ${un}IsAdministrator
  UserInfo::GetAccountType
  Pop $0
  ${If} $0 == "Admin"
    Push 1
  ${Else}
    Push 0
  ${EndIf}
FunctionEnd

; Goes on as an administrator: in a new process, which asks the user. A silent run asks nobody.
Function ${un}BecomeAdministrator
  Call ${un}IsAdministrator
  Pop $0
  ${If} $0 = 0
    ${If} ${Silent}
      SetErrorLevel 3
      Quit
    ${EndIf}
    ${GetParameters} $1
    ; NSIS takes /D= out of the parameters, and the folder is empty without it. The uninstaller needs none.
    ${If} $INSTDIR != ""
    ${AndIf} "${un}" == ""
      StrCpy $1 "$1 /D=$INSTDIR"
    ${EndIf}
    ClearErrors
    ExecShell "runas" "${program}" "$1"
    ${If} ${Errors}
      MessageBox MB_OK|MB_ICONSTOP "$(NeedsAdministrator)"
      SetErrorLevel 3
    ${EndIf}
    Quit
  ${EndIf}
FunctionEnd

; Takes away what an installation of this app has registered for its documents. What another program
; has set for the same extension stays.
Function ${un}RemoveDocuments
  ${Do}
    EnumRegValue $0 SHCTX "${UNINSTALL_KEY}\Documents" 0
    ${If} $0 == ""
      ${Break}
    ${EndIf}
    DeleteRegKey SHCTX "${CLASSES}\@ID@.$0"
    DeleteRegValue SHCTX "${CLASSES}\.$0\OpenWithProgids" "@ID@.$0"
    ReadRegStr $1 SHCTX "${CLASSES}\.$0" ""
    ${If} $1 == "@ID@.$0"
      DeleteRegValue SHCTX "${CLASSES}\.$0" ""
    ${EndIf}
    ; Keys in which nothing is left.
    DeleteRegKey /ifnosubkeys /ifnovalues SHCTX "${CLASSES}\.$0\OpenWithProgids"
    DeleteRegKey /ifnosubkeys /ifnovalues SHCTX "${CLASSES}\.$0"
    ClearErrors
    DeleteRegValue SHCTX "${UNINSTALL_KEY}\Documents" "$0"
    ${If} ${Errors}
      ${Break}
    ${EndIf}
  ${Loop}
  Call ${un}TellDocuments
FunctionEnd

; Makes Explorer look at the types of documents again (SHCNE_ASSOCCHANGED).
Function ${un}TellDocuments
  System::Call 'shell32::SHChangeNotify(i 0x08000000, i 0, p 0, p 0)'
FunctionEnd
!macroend
!insertmacro FUNCTIONS "" "$EXEPATH"
; An uninstaller runs as a copy elsewhere, which would not know what to remove.
!insertmacro FUNCTIONS "un." "$INSTDIR\uninstall.exe"

Function .onInit
  StrCpy $AllUsers 0
  ; An installation for all users is renewed where it is.
  ReadRegStr $0 HKLM "${UNINSTALL_KEY}" "InstallLocation"
  ${If} $0 != ""
    StrCpy $AllUsers 1
  ${EndIf}
  ${GetParameters} $R0
  ClearErrors
  ${GetOptions} $R0 "/AllUsers" $0
  ${IfNot} ${Errors}
    StrCpy $AllUsers 1
  ${EndIf}
  ClearErrors
  ${GetOptions} $R0 "/CurrentUser" $0
  ${IfNot} ${Errors}
    StrCpy $AllUsers 0
  ${EndIf}
  ${If} $AllUsers = 1
    Call BecomeAdministrator
    SetShellVarContext all
    StrCpy $R1 "$PROGRAMFILES64\@FOLDER@"
  ${Else}
    SetShellVarContext current
    StrCpy $R1 "$LOCALAPPDATA\Programs\@FOLDER@"
  ${EndIf}
  ReadRegStr $0 SHCTX "${UNINSTALL_KEY}" "InstallLocation"
  StrCpy $IsUpgrade 0
  ${If} $0 != ""
    StrCpy $IsUpgrade 1
    StrCpy $R1 $0
  ${EndIf}
  ; Empty but for /D=.
  ${If} $INSTDIR == ""
    StrCpy $INSTDIR $R1
  ${EndIf}
  StrCpy $DesktopIcon 1
  ClearErrors
  ${GetOptions} $R0 "/NoDesktopIcon" $0
  ${IfNot} ${Errors}
    StrCpy $DesktopIcon 0
  ${EndIf}
  ; The name that the app had when it was installed last.
  StrCpy $FormerName "@STEM@"
  ${If} $IsUpgrade = 1
    ReadRegStr $0 SHCTX "${UNINSTALL_KEY}" "DisplayIcon"
    ${GetBaseName} $0 $0
    ${If} $0 != ""
      StrCpy $FormerName $0
    ${EndIf}
    ; An icon that a person has removed stays away, and one that no setup has made stays.
    ReadRegStr $0 SHCTX "${UNINSTALL_KEY}" "DesktopIcon"
    ${IfNot} ${FileExists} "$DESKTOP\$FormerName.lnk"
    ${OrIf} $0 == "0"
      StrCpy $DesktopIcon 0
    ${EndIf}
  ${EndIf}
  ; Without this word nothing of an earlier installation gives way before the launcher's window has asked.
  StrCpy $ReplaceShortcuts 0
  ClearErrors
  ${GetOptions} $R0 "/ReplaceShortcuts" $0
  ${IfNot} ${Errors}
    StrCpy $ReplaceShortcuts 1
  ${EndIf}
FunctionEnd

Function OptionsPage
  !insertmacro MUI_HEADER_TEXT "$(OptionsTitle)" "$(OptionsSubtitle)"
  nsDialogs::Create 1018
  Pop $0
  ${NSD_CreateCheckbox} 0 0 100% 12u "$(OptionsDesktop)"
  Pop $DesktopIconBox
  ${NSD_SetState} $DesktopIconBox $DesktopIcon
  nsDialogs::Show
FunctionEnd

Function OptionsPageLeave
  ${NSD_GetState} $DesktopIconBox $DesktopIcon
FunctionEnd

; Explorer starts the app with the user's own rights, if this process has more.
Function StartApp
  ${If} $AllUsers = 1
    Exec '"$WINDIR\explorer.exe" "$INSTDIR\@EXE@"'
  ${Else}
    Exec '"$INSTDIR\@EXE@"'
  ${EndIf}
FunctionEnd

; The app has another name than before: its launcher gets the new one, and nothing keeps the old one.
Function Rename
  !insertmacro REMOVE_LINKS "$FormerName"
  ; A launcher that runs can be renamed. Another one of the new name is left of nothing that this setup has made.
  Delete "$INSTDIR\@EXE@"
  Rename "$INSTDIR\$FormerName.exe" "$INSTDIR\@EXE@"
  Rename "$INSTDIR\$FormerName.update.json" "$INSTDIR\@STEM@.update.json"
  Delete "$INSTDIR\$FormerName.update.lock"
  Delete "$INSTDIR\$FormerName.new.exe"
  Rename "$INSTDIR\$FormerName.old.exe" "$INSTDIR\@STEM@.old.exe"
FunctionEnd

; Puts the launcher that lies beside its place into its place. A running one is moved aside, under
; the name from which its successor removes it: so nobody's work is interrupted.
Function PutLauncher
  retry:
  ClearErrors
  Delete "$INSTDIR\@EXE@"
  ${If} ${Errors}
    ClearErrors
    Delete "$INSTDIR\@STEM@.old.exe"
    ClearErrors
    Rename "$INSTDIR\@EXE@" "$INSTDIR\@STEM@.old.exe"
  ${EndIf}
  ${IfNot} ${Errors}
    Rename "$INSTDIR\@STEM@.setup.exe" "$INSTDIR\@EXE@"
  ${EndIf}
  ${If} ${Errors}
    MessageBox MB_RETRYCANCEL|MB_ICONEXCLAMATION "$(AppRuns)" /SD IDCANCEL IDRETRY retry
    Delete "$INSTDIR\@STEM@.setup.exe"
    SetErrorLevel 4
    !insertmacro GIVE_UP "$(AppRuns)"
  ${EndIf}
FunctionEnd

Section
  !insertmacro SHOW_ONLY "$(Installing)"
  SetOutPath "$INSTDIR"
  ClearErrors
@FILES@
  ${If} $FormerName != "@STEM@"
    Call Rename
  ${EndIf}
  ; The launcher renews itself: a newer one than this stays.
  StrCpy $R2 0
  ${If} ${FileExists} "$INSTDIR\@EXE@"
    ClearErrors
    GetDLLVersion "$INSTDIR\@EXE@" $0 $1
    ${IfNot} ${Errors}
      ${If} $0 U> @LAUNCHER_HIGH@
        StrCpy $R2 1
      ${ElseIf} $0 = @LAUNCHER_HIGH@
      ${AndIf} $1 U> @LAUNCHER_LOW@
        StrCpy $R2 1
      ${EndIf}
    ${EndIf}
  ${EndIf}
  ${If} $R2 = 0
    File "/oname=@STEM@.setup.exe" "launcher.exe"
    Call PutLauncher
  ${EndIf}
  WriteUninstaller "$INSTDIR\uninstall.exe"

  CreateShortCut "$SMPROGRAMS\@LINK@.lnk" "$INSTDIR\@EXE@" "run" "$INSTDIR\@EXE@" 0 SW_SHOWNORMAL "" "@DESCRIPTION@"
  Delete "$SMPROGRAMS\@LINK@ - ${WINDOW_ENGLISH}.lnk"
  Delete "$SMPROGRAMS\@LINK@ - ${WINDOW_CHINESE}.lnk"
  CreateShortCut "$SMPROGRAMS\@LINK@ - $(WindowTitle).lnk" "$INSTDIR\@EXE@" "window --versions" "$INSTDIR\@EXE@" 0 SW_SHOWNORMAL "" "$(WindowTitle)"
  ; The shortcuts are those of one user, and so is the launcher's record of them.
  ${If} $ReplaceShortcuts = 1
  ${AndIf} $AllUsers = 0
    ExecWait '"$INSTDIR\@EXE@" --headless old-shortcuts replace'
  ${EndIf}
  ${If} $DesktopIcon = 1
    CreateShortCut "$DESKTOP\@LINK@.lnk" "$INSTDIR\@EXE@" "run" "$INSTDIR\@EXE@" 0 SW_SHOWNORMAL "" "@DESCRIPTION@"
  ${EndIf}
  Call RemoveDocuments
@DOCUMENT_CLASSES@
  Call TellDocuments
  WriteRegStr SHCTX "${UNINSTALL_KEY}" "DisplayName" "@NAME@"
  WriteRegStr SHCTX "${UNINSTALL_KEY}" "DisplayVersion" "@VERSION@"
  WriteRegStr SHCTX "${UNINSTALL_KEY}" "DisplayIcon" "$INSTDIR\@EXE@"
  WriteRegStr SHCTX "${UNINSTALL_KEY}" "DesktopIcon" "$DesktopIcon"
  WriteRegStr SHCTX "${UNINSTALL_KEY}" "Publisher" "@PUBLISHER@"
  WriteRegStr SHCTX "${UNINSTALL_KEY}" "URLInfoAbout" "@HOMEPAGE@"
  WriteRegStr SHCTX "${UNINSTALL_KEY}" "InstallLocation" "$INSTDIR"
  WriteRegStr SHCTX "${UNINSTALL_KEY}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr SHCTX "${UNINSTALL_KEY}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD SHCTX "${UNINSTALL_KEY}" "EstimatedSize" @KILOBYTES@
  WriteRegDWORD SHCTX "${UNINSTALL_KEY}" "NoModify" 1
  WriteRegDWORD SHCTX "${UNINSTALL_KEY}" "NoRepair" 1
SectionEnd

Function un.onInit
  SetShellVarContext current
  ReadRegStr $0 HKLM "${UNINSTALL_KEY}" "InstallLocation"
  ${If} $0 == $INSTDIR
    Call un.BecomeAdministrator
    SetShellVarContext all
  ${EndIf}
  StrCpy $DeleteData 0
  ${GetParameters} $R0
  ClearErrors
  ${GetOptions} $R0 "/DeleteData" $0
  ${IfNot} ${Errors}
    StrCpy $DeleteData 1
  ${EndIf}
FunctionEnd

Function un.DataPage
  !insertmacro MUI_HEADER_TEXT "$(DataTitle)" "$(DataSubtitle)"
  nsDialogs::Create 1018
  Pop $0
  ${NSD_CreateLabel} 0 0 100% 30u "$(DataKept)"
  Pop $0
  ${NSD_CreateCheckbox} 0 36u 100% 12u "$(DataDelete)"
  Pop $DeleteDataBox
  ${NSD_SetState} $DeleteDataBox $DeleteData
  GetDlgItem $0 $HWNDPARENT 1
  SendMessage $0 ${WM_SETTEXT} 0 "STR:$(^UninstallBtn)"
  nsDialogs::Show
FunctionEnd

Function un.DataPageLeave
  ${NSD_GetState} $DeleteDataBox $DeleteData
FunctionEnd

; The launcher removes what it has installed. It refuses while the app runs, and changes nothing then.
Function un.RemoveVersions
  ${IfNot} ${FileExists} "$INSTDIR\@EXE@"
    Return
  ${EndIf}
  StrCpy $R1 "--keep-data"
  ${If} $DeleteData = 1
    StrCpy $R1 "--delete-data"
  ${EndIf}
  retry:
  ; A program that runs, with its window or without, cannot be opened for writing.
  StrCpy $R2 1
  ClearErrors
  FileOpen $0 "$INSTDIR\@EXE@" a
  ${IfNot} ${Errors}
    FileClose $0
    ClearErrors
    ExecWait '"$INSTDIR\@EXE@" --headless uninstall $R1 --yes' $R2
    ${If} ${Errors}
      StrCpy $R2 1
    ${EndIf}
  ${EndIf}
  ; 3: nothing was installed.
  ${If} $R2 <> 0
  ${AndIf} $R2 <> 3
    MessageBox MB_RETRYCANCEL|MB_ICONEXCLAMATION "$(AppRuns)" /SD IDCANCEL IDRETRY retry
    SetErrorLevel 4
    !insertmacro GIVE_UP "$(AppRuns)"
  ${EndIf}
FunctionEnd

Section "Uninstall"
  !insertmacro SHOW_ONLY "$(Uninstalling)"
  Call un.RemoveVersions
  SetOutPath "$TEMP"
  !insertmacro REMOVE_LINKS "@LINK@"
@FILES_REMOVED@
  Delete "$INSTDIR\@STEM@.old.exe"
  Delete "$INSTDIR\@STEM@.new.exe"
  Delete "$INSTDIR\@STEM@.setup.exe"
  Delete "$INSTDIR\@STEM@.update.json"
  Delete "$INSTDIR\@STEM@.update.lock"
  Delete "$INSTDIR\@EXE@"
  Delete "$INSTDIR\uninstall.exe"
  ; Only if it is empty: files that a person has put there stay.
  RMDir "$INSTDIR"
  Call un.RemoveDocuments
  DeleteRegKey SHCTX "${UNINSTALL_KEY}"
  !insertmacro SHOW_ONLY "$(Uninstalled)"
SectionEnd
!ifdef UNINSTALLER_COPY
  ; The uninstaller is copied out of the first run, signed, and copied into the second.
  !uninstfinalize '${UNINSTALLER_COPY}'
!endif
