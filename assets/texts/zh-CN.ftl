### 窗口与终端的全部文字。每条信息在两种语言里都有，`texts.rs` 的测试保证没有遗漏，也没有多余。

## 窗口各阶段的标题与副标题

window-title = { $app } — 更新
idle-title = { $app }
idle-subtitle = 点击“检查更新”，查看是否有新版本
checking-title = 正在检查更新
checking-subtitle = 正在联系更新服务器…
checking-file-title = 正在检查文件
checking-file-subtitle = 正在核对发布者的签名…
current-title = { $app } 已是最新版本
no-update-title = 目前没有更新
nothing-title = 没有可安装的版本
current-subtitle = 当前版本 { $version }
current-subtitle-none = 尚未安装任何版本
offer-title = { $app } 有新版本 { $version }
offer-subtitle = { $way } • { $size }
offer-have = 当前版本 { $version }
cost-list = { $before } • { $next }
price-small = 小更新
price-whole = 下载
offer-subtitle-incremental = 增量更新 • { $size }（完整包 { $full }）
install-title = 安装 { $app }
install-subtitle = 版本 { $version } • { $size }
downloading-title = 正在下载 { $app } { $version }
downloading-subtitle = 下载时可以继续使用当前版本
downloading-subtitle-first = 下载完成后即可使用
paused-title = 下载已暂停
paused-subtitle = 已下载的部分会保留
installing-title = 正在安装 { $app } { $version }
installing-subtitle = 正在写入并校验最后的文件
installing-subtitle-incremental = 正在用本机已有的文件组装新版本
installing-subtitle-file = 正在从文件读取、校验并写入
ready-title = { $app } { $version } 已准备就绪
ready-subtitle-running = 重启 { $app } 后使用新版本。如有未保存的内容，它会先询问您。
ready-subtitle-stopped = 现在即可启动新版本
rolling-back-title = 正在恢复…
rolling-back-subtitle = 正在恢复该版本和您的文件
rolled-back-title = { $app } 已恢复到版本 { $version }
rolled-back-subtitle = 您的文件也恢复到了离开该版本时的样子。
rolled-back-kept-here = 此后在版本 { $version } 中的改动已为您保存，可以打开文件夹查看或取用。
rolled-back-kept = 此后在版本 { $version } 中的改动保存在 { $path }
pinned = 将停留在版本 { $version }。
unpinned = 将重新提示新版本。
happened-rolled-back = 版本 { $from } 没有正常启动，已为您恢复到 { $to }，您的文件也保持原样。
happened-not-switched = 版本 { $version } 无法接管您的文件，原来的版本继续可用，没有任何改动。
happened-conflicts = 版本 { $version } 中有 { $count } 个文件您和新版本都改过：正在使用您的文件，新的默认文件放在旁边。
ready-subtitle-elsewhere = 下次打开应用时使用新版本
happened-file = { $yours }（旁边是 { $beside }）
swapping-title = 正在应用 { $app } { $version }
swapping-subtitle = { $app } 会继续运行，请稍候
swapped-title = { $app } { $version } 已生效
swapped-subtitle = { $app } 无需重启，已使用新内容
switching-progress = 正在带上您的文件：{ $done } / { $total } MB
switching-title = 正在切换到 { $app } { $version }
switching-subtitle = 正在启动新版本
closing-title = 正在关闭 { $app }
closing-subtitle = 如有未保存的内容，它会先询问您
closing-title-person = { $app } 正在等待您
closing-subtitle-person = 请在它的窗口中选择保存或放弃
closing-title-unreachable = { $app } 仍在运行
closing-subtitle-unreachable = 请先保存，再自行退出
closing-person = 请在 { $app } 中回答它的问题，或关闭它的窗口。可能有未保存的内容时，不会强行结束它。
closing-unreachable = { $app } 没有可以从这里关闭的窗口。它可能在终端中运行，或只在面板上显示图标。
closing-then = { $app } 退出后，会立即启动版本 { $version }。
closing-then-back = { $app } 退出后，会立即恢复版本 { $version }。
closing-then-other = { $app } 退出后，会立即启动另一个版本。
end-app-title = 不保存就结束 { $app }？
end-app-text = 其中没有保存的内容都会丢失。
end-app-text-instead = 要保留内容，请在 { $app } 中保存并退出。
launched-title = { $app } { $version } 已启动
launched-subtitle = 窗口即将关闭
launched-subtitle-told = 有一条提示
failed-title = 更新未完成
failed-title-first = 安装未完成
failed-subtitle-safe = 已安装的版本不受影响，可以继续使用
failed-subtitle = 尚未安装任何内容
cancelled-title = 已取消更新
cancelled-title-first = 已取消安装
cancelled-subtitle = 已校验的部分会保留，下次无需重新下载
repairing-title = 正在检查并修复 { $app } { $version }
repairing-subtitle = 正在逐个与发布的文件比对
repaired-title = 版本 { $version } 已修复
repaired-title-whole = 版本 { $version } 完好无损
repaired-title-left = 版本 { $version } 未能完全修复
repaired-mended = 已恢复 { $count } 处损坏
repaired-left = 仍有 { $count } 处损坏
repair-hint = 修复方法：kuzflow-launcher verify --repair { $version }
repaired-nothing = 所有文件都与发布时一致
repaired-removed = 不属于此版本，已移走：{ $path }
repaired-aside = 不属于此版本、但可能是您的文件，保存在 { $path }
how-cloned = 从本机其他文件复制
how-patched = 用补丁从其他版本生成
how-fetched = 重新下载
how-made = 重新创建
how-permissions = 重新设置权限

## 无人查看时发生的事

told-several = 有 { $count } 条提示
told-several-subtitle = 最近的在最前面。您的文件都在。
told-rolled-back = 版本 { $version } 没有正常启动
told-rolled-back-now = 已为您恢复到 { $version }，您的文件也保持原样。
told-not-switched = { $version } 无法接管您的文件
told-not-switched-now = 原来的版本继续可用，没有任何改动。
told-conflicts = 您的 { $count } 个文件各有两份
told-conflicts-now = { $count ->
   *[other] 您改过，{ $version } 也改过。继续使用您的，新版本带来的放在旁边。
}
told-why = 发生了什么
told-when = 时间
told-kept = 您在 { $version } 中的文件
told-kept-text = 您在此版本中的改动已为您保存，可以打开文件夹查看或取用。
told-next = 接下来
told-next-text = 这台电脑不会再提示 { $version }，有更新的版本时会提示您。
told-not-switched-why = 为它准备您的文件没有成功。下面的内容可以帮助发布者查找原因。
told-files = 您的文件
told-beside = 旁边是：{ $name }
told-more = 还有 { $count } 个
failure-crashed = 它自行退出了，错误代码 { $status }。
failure-signal = 它崩溃了（信号 { $signal }）。
failure-ended-at-once = 它刚启动就退出了，没有说明原因。
failure-hung = 它启动了，但一直没有表示准备就绪。
failure-said = 它自己报告了问题：“{ $reason }”
failure-said-nothing = 它自己报告了问题。
failure-not-started = 它完全无法启动。
failure-never-up = 它启动了几次，每次都在准备就绪之前中断了。

## 为什么没有更新

no-update-newest = 您使用的已经是最新版本。
no-update-skipped = 有更新的版本，但您选择了跳过。
no-update-failed-here = 有新版本，但它在这台电脑上没有正常启动；再有新版本时会提示您。
no-update-pinned = 您选择了停留在当前版本，解除之前不会提示新版本。
no-update-not-yet = 有更新的版本，正在分批推送，尚未轮到本机。
no-update-only-whole = 有新版本，但只能下载完整包，当前设置不允许这样做。
no-update-nothing = 更新服务器上还没有适用于本机的版本。
no-update-installed = 此文件中的版本已经安装并在使用。

## 详情

way-full = 全量更新
way-incremental = 增量更新
way-patches = { $count ->
    [1] 基于 { $from } 的增量补丁
   *[other] 基于 { $from } 的 { $count } 个增量补丁
}
way-patches-and-entries = 基于 { $from } 的增量补丁，另下载有变化的文件
way-entries = 只下载有变化的文件，其余沿用 { $from }
way-entries-here = 只下载有变化的文件，其余沿用本机已有的
way-file = 从文件安装
way-installed = 已下载，可直接安装
reason-cheapest = 这样下载量最小
reason-sooner = 按当前网络，下载完整包用时更少
reason-nothing-installed = 本机尚未安装任何版本
reason-above-threshold = 变化较多，增量更新省不了多少
reason-switched-off = 增量更新已关闭
reason-unknown = 无法得知与当前版本相比有哪些变化
files-all = 共 { $count } 个文件：{ $list }
files-none = 没有文件
files-cloned = 沿用 { $count }
files-patched = 打补丁 { $count }
files-fetched = 下载 { $count }
restart-needed = 需要重启应用
restart-not-needed = 无需重启应用
list = { $before }，{ $next }
detail-current = 当前版本
detail-target = 目标版本
detail-size = 下载大小
detail-time = 预计时间
detail-way = 更新方式
detail-reason = 原因
detail-files = 文件
detail-restart = 更新之后
detail-line = { $name }：{ $value }
detail-file = 文件
detail-no-download = 无需下载
detail-time-unknown = 开始下载后估算
detail-already = { $size }，其中 { $done } 已下载
detail-saved = { $size }，比完整包少 { $percent }
mandatory = 发布者要求安装此更新。现在可以继续使用；安装之前，每次启动 { $app } 时都会再次提示。
notes-title = 更新内容
notes-title-in = { $title }（{ $language }）

## 节点与进度

nodes-title = 下载服务器
nodes-count = { $count } 个
progress-title = 总进度
progress-amount = { $done } / { $total }
progress-files = 已写入 { $done } / { $total } 个文件
progress-step = 第 { $done } / { $total } 个文件
progress-steps-title = 已写入的文件
progress-fallen-back = 有 { $count } 个文件的补丁不适用，已改为下载完整文件，不影响更新结果。
progress-mended = 有 { $count } 个已安装的文件损坏，已重新下载，不影响更新结果。
progress-speed = { $speed }/s
progress-left = 剩余 { $duration }
progress-left-long = 剩余一天以上
progress-waiting = 等待中
progress-left-unknown = 正在估算剩余时间
status-connecting = 正在连接…
status-downloading = 正在从 { $count } 个服务器下载
status-waiting = 服务器暂时没有响应，正在重试…
status-paused = 已暂停
status-verifying = 正在校验并写入
node-idle = 待命
node-waiting = 稍后重试
node-dropped = 已停用
node-published = { $bandwidth } Mbps
node-bar = { $name } 的下载进度
fault-unreachable = 无法连接
fault-refused = 服务器返回错误
fault-stalled = 长时间没有数据
fault-truncated = 数据提前中断
fault-wrong-bytes = 数据与签名不符
fault-ignored-range = 不支持分段下载
fault-different-file = 文件与发布的不一致
region-asia-pacific = 亚太
region-europe = 欧洲
region-americas = 美洲
region-global = 全球
region-near = 本地网络
node-nearby = 附近的电脑（{ $name }）

## 应用运行时的小窗口，以及系统通知

notification-title = { $app } 有新版本 { $version }
notification-now = 立即更新
notification-fetched = 已下载，可直接安装
notification-no-restart = 无需重启
notification-open = 打开完整窗口
strip-step = { $name }（{ $step }/{ $steps }）
strip-preparing = 准备更新
strip-downloading = 下载更新
strip-installing = 安装更新
strip-swapping = 应用更新
strip-switching = 重启应用
strip-progress = 更新进度
strip-detail = { $amount } • { $speed }
restart-now = 重启应用
start-now = 启动应用
strip-waiting = 正在等待应用退出
strip-starting = 正在启动新版本
restart-subtitle = 重启后使用
obstacle-files = 有改动的部分无法在应用运行时替换。
obstacle-loading = 应用使用这些内容的方式决定了需要重启。
obstacle-content = 运行中的应用未能核对新文件。
obstacle-needed = 应用的其他部分仍依赖改动前的内容。
obstacle-in-use = 有改动的部分正在使用中。
obstacle-tried = 已尝试不重启直接更新，未成功，已还原。
obstacle-busy = 应用暂时不能直接应用更新。
obstacle-undo = 直接更新已开始但未能完全还原，请尽快重启。
obstacle-other = 此更新在重启后生效。

## 按钮

action-start = 开始更新
action-install = 安装
action-go-on = 继续安装
action-later = 稍后
action-skip = 跳过此版本
action-pause = 暂停
action-resume = 继续
action-cancel = 取消
action-restart-now = 重启 { $app }
action-start-now = 启动 { $app }
action-restart-later = 稍后
action-keep-running = 稍后重启
action-not-back = 暂不
action-end-app = 不保存并结束…
action-end-app-now = 不保存并结束
action-retry = 重试
action-check = 检查更新
action-install-file = 从文件安装…
action-accept-expired = 仍然安装
action-close = 关闭
action-versions = 已安装版本
action-back = 返回
action-switch = 切换到此版本…
action-switch-now = 切换
action-go-back = 恢复到此版本…
action-go-back-now = 恢复
action-pin = 停留在此版本
action-unpin = 重新提示新版本
action-prune = 释放空间…
action-prune-now = 释放空间
action-ok = 确定
action-details = 详情
action-open-folder = 打开文件夹
action-remove = 移除
action-hide-details = 收起详情
action-copy-details = 复制详情
action-copied = 已复制
action-dismiss = 知道了
action-language = 语言：{ $language }
action-theme = 外观：{ $theme }
the-app = 应用
theme-auto = 跟随系统
theme-light = 浅色
theme-dark = 深色

## 版本菜单

versions-title = 已安装版本
versions-subtitle = 共 { $count } 个版本，占用 { $size }
versions-subtitle-measured = 共 { $count } 个版本，最多占用磁盘 { $size }
versions-empty = 尚未安装任何版本。
version-facts = { $size } • 安装于 { $date }
version-active = 当前
version-running = 运行中
version-ready = 已备好
version-failed = 在本机未能启动
version-pinned = 已固定
version-left = 保存有您在 { $date } 的文件
surplus = 有 { $count } 个旧版本可以移除，最多释放 { $size }
kept-title = 保存的文件
kept-text = 您离开某个版本时的文件，保留最近三份。
kept-of = 您在版本 { $version } 中的文件
switch-title = 切换到 { $version }？
switch-text = 您当前的文件会一并带过去。
switch-text-back = { $version } 会保留，连同您现在的文件，之后可以恢复回来。
switch-text-failed = 此版本之前在这台电脑上没有正常启动。
switch-text-running = { $app } 重启后生效。
go-back-title = 恢复到 { $version }？
go-back-text = 将恢复版本 { $version }，以及您在 { $date } 时的文件。
go-back-text-kept = 此后的改动会保存在一个文件夹里，可以随时打开。
go-back-text-running = { $app } 会先关闭，然后重新打开。如有未保存的内容，它会先询问您。
prune-title = 释放空间？
prune-text = 将删除：{ $list }，最多释放 { $size }。
prune-text-stays = 当前版本和可恢复的上一个版本会保留，您当前的文件和保存的文件也会保留。
remove-title = 移除 { $version }？
remove-text = 将从磁盘删除此版本，最多释放 { $size }。其他版本不受影响。
remove-text-kept = 您在此版本中的文件会继续保存。
folder-failed = 无法打开文件夹 { $path }

## 从文件安装

file-kind = 更新文件
file-dialog-failed = 无法打开系统的文件选择框。请把文件拖到此窗口上。
drop-title = 松开即可安装
drop-busy = 请等待当前步骤完成

## 出错时：发生了什么，为什么，接下来怎么办

problem-no-network = 无法连接更新服务器
    .why = 网络可能已断开，或者被防火墙、代理拦截。
    .next = 请检查网络连接，然后重试。已下载的部分会保留。
problem-nodes-unusable = 更新服务器上没有所需的文件
    .why = 节点有响应，但文件不存在、不完整或正在同步。
    .next = 请过几分钟再试。若一直如此，请联系软件发布者。
problem-not-trusted = 更新未通过安全校验
    .why = 收到的数据与发布者的签名不符，可能在途中被篡改，或者节点文件已损坏。
    .next = 为安全起见没有安装任何内容。请换一个网络重试；若仍然失败，请联系软件发布者。
problem-metadata-expired = 更新信息已过期
    .why = 发布者没有及时续签，或者有人在阻止您收到新的信息，也可能是本机时间不准。
    .next = 请检查系统日期和时间，然后重试。
problem-disk-full = 磁盘空间不足
    .why = 新版本需要更多可用空间：{ $subject }
    .next = 请清理磁盘，或在“已安装版本”中移除旧版本，然后重试。
problem-disk-error = 无法读写文件
    .why = 操作系统拒绝了访问：{ $subject }
    .next = 请检查磁盘状态和文件夹权限，关闭占用该文件的程序，然后重试。
problem-busy = 另一个更新程序正在运行
    .why = 同一时间只能有一个更新程序操作安装文件夹。
    .next = 请等待它完成或将其关闭，然后重试。
problem-bad-package = 安装包已损坏
    .why = 安装包的内容与发布者声明的不一致：{ $subject }
    .next = 没有安装任何内容。请重试；若仍然失败，请联系软件发布者。
problem-no-such-version = 找不到此版本
    .why = 本机和更新服务器上都没有 { $subject }。
    .next = 请在“已安装版本”中选择其他版本，或检查更新。
problem-version-in-use = 此版本正在使用中
    .why = { $subject } 正在运行，或者是当前版本，现在不能更改。
    .next = 请先退出应用；若要移除此版本，请切换到其他版本。
problem-data-too-new = 您的文件对这个版本来说太新了
    .why = 版本 { $subject } 不认识新版本写下的文件格式。
    .next = 请用“恢复”回到当时的版本和当时的文件，或继续使用新版本。
problem-migration-failed = 无法为新版本准备您的文件
    .why = { $subject } 自带的数据准备没有成功。没有任何改动，原来的版本继续可用。
    .next = 请继续使用，并把详细信息告诉发布者。
problem-no-rollback-point = 没有可以恢复的状态
    .why = 没有为 { $subject } 保存更早的文件状态。
    .next = 可在版本菜单中切换到其他已安装的版本，当前文件会一并带过去。
problem-app-running = { $subject } 正在运行
    .why = 卸载会删除它正在使用的文件。
    .next = 请先保存工作并退出应用，然后重试。
problem-launch-failed = 应用无法启动
    .why = 启动时出现错误：{ $subject }
    .next = 请重试，或在“已安装版本”中切换到其他版本。
problem-nothing-installed = 尚未安装应用
    .why = 本机没有可用的版本，也无法下载新的版本。
    .next = 请检查网络连接，然后重试。
problem-bad-settings = 无法读取启动器的设置
    .why = 设置文件或随附的信任文件有错误：{ $subject }
    .next = 请重新安装启动器，或联系软件发布者。
problem-launcher-too-old = 启动器版本过旧
    .why = 此版本要求更高版本的启动器。
    .next = 请关闭此窗口：启动器会尽可能先更新自身，然后重新启动。如果仍出现此提示，请从软件发布者处下载最新的启动器。
problem-bundle-damaged = 此文件无法使用
    .why = 它不是更新文件，或者内容不完整：{ $subject }
    .next = 请重新完整复制一次，或向软件发布者重新索取。
problem-bundle-not-trusted = 文件未通过安全校验
    .why = 文件内容与本软件发布者的签名不符，可能在复制时损坏、被人改动，或者属于另一个软件：{ $subject }
    .next = 为安全起见没有安装任何内容。请重新复制，或直接向软件发布者索取。
problem-bundle-expired = 此文件比较旧
    .why = 文件是真实的，但发布者只保证到 { $subject } 为止没有更新的版本。现在可能已有更新的版本，其中可能包含重要修复。
    .next = 建议连接网络，或索取较新的文件。如果您信任提供此文件的人，也可以仍然安装。
problem-bundle-unsuitable = 此文件不适用于本机
    .why = 它包含的是 { $subject }，属于另一个软件、系统或渠道。
    .next = 请向软件发布者索取适用于本机的文件。
problem-bundle-withdrawn = 发布者已撤回此版本
    .why = 发布者较新的信息不再允许安装它：{ $subject }
    .next = 请向软件发布者索取较新的文件，或检查更新。
problem-bundle-too-far = 需要先安装另一个版本
    .why = 只有 { $subject } 或更新的版本才能直接升级到此版本。
    .next = 请先安装那个版本，或联网检查更新。
problem-internal = 启动器内部错误
    .why = 这是启动器的缺陷，不是您的操作造成的。
    .next = 请重试，并将下面的详情发送给软件发布者。
problem-subject-unknown = 原因见详情
no-window = 无法打开更新窗口，将直接启动应用。

## 同一办公室的电脑

sharing-switch = 与附近的电脑共享更新
sharing-explained = 可为办公室节省外网流量。只共享本应用已发布的文件，绝不共享您自己的文件。
peers-off-by-publisher = 此应用的发布者未启用与附近电脑共享更新的功能。
peers-switched-on = 已开启与附近的电脑共享更新。
peers-switched-off = 已关闭与附近的电脑共享更新。
peers-serving = 附近的电脑现在可以从这里获取已安装的版本（端口 { $port }）。按 Ctrl+C 停止。
peers-not-serving = 无法与附近的电脑建立连接，原因见日志。

## 桌面

shortcut-comment = 启动 { $app } 并保持更新
shortcut-bundle = 更新包
shortcut-made = { $app } 已添加到菜单：
shortcut-removed = 已移除 { $app } 的快捷方式：
shortcut-nothing = 无需任何操作。
uninstall-question = 要从 { $folder } 卸载 { $app } 吗？
uninstall-question-data = 是否保留您的设置和数据，供下次安装使用？
uninstall-done = { $app } 已卸载。
uninstall-nothing = { $app } 尚未安装。
uninstall-left = 没有做任何更改。
uninstall-kept = 您的设置和数据保存在 { $folder }，下次安装时会自动恢复。
uninstall-foreign = 不属于启动器，因此保留：{ $folder }
uninstall-launcher = 启动器本身没有删除：{ $folder }

## 时长与日期

duration-seconds = { $seconds } 秒
duration-minutes = { $minutes } 分 { $seconds } 秒
duration-hours = { $hours } 小时 { $minutes } 分
about = 约 { $duration }
moment = { $date } { $time }
date = { $year } 年 { $month } 月 { $day } 日
