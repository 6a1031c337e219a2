//! X11, also for programs that use X11 on Wayland.
//!
//! A window manager publishes a list of the windows that it manages, the oldest first. Without a
//! window manager the windows are the root's children. The server itself knows which process owns a
//! window (X-Resource); where it does not, the window's own property says so.

use std::collections::BTreeMap;
use std::io::IoSlice;

use x11rb::connection::{Connection as _, RequestConnection as _};
use x11rb::errors::{ConnectionError, ParseError, ReplyError};
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConfigureWindowAux, ConnectionExt as _, EventMask,
    GetPropertyReply, InputFocus, MapState, StackMode,
};
use x11rb::rust_connection::RustConnection;
use x11rb::x11_utils::TryParse;

use super::window::{Unseen, Window, WindowKind};
use crate::host::processes::Process;
use crate::host::variable;

/// How deep below the root a window manager may put a window into its frames.
const DEEPEST_FRAME: u32 = 4;
/// Most 32-bit words of a property that are read.
const MAX_PROPERTY_WORDS: u32 = 4096;
/// `LocalClientPID` of X-Resource 1.2.
const PROCESS_ID: u32 = 1 << 1;
/// `QueryClientIds` of X-Resource 1.2.
const QUERY_CLIENT_IDS: u8 = 4;
/// The source "pager" of the window managers' specification: a program that acts for the user.
const ON_A_PERSONS_WORD: u32 = 2;

x11rb::atom_manager! {
    /// The X11 atoms in use.
    Atoms: AtomsCookie {
        WM_PROTOCOLS,
        WM_DELETE_WINDOW,
        WM_STATE,
        WM_CLIENT_MACHINE,
        _NET_ACTIVE_WINDOW,
        _NET_CLIENT_LIST,
        _NET_SUPPORTING_WM_CHECK,
        _NET_WM_PID,
        _NET_WM_STATE,
        _NET_WM_STATE_MODAL,
        _NET_WM_WINDOW_TYPE,
        _NET_WM_WINDOW_TYPE_NORMAL,
        _NET_WM_WINDOW_TYPE_DIALOG,
        _NET_WM_WINDOW_TYPE_UTILITY,
        _NET_WM_WINDOW_TYPE_TOOLBAR,
        _NET_WM_WINDOW_TYPE_SPLASH,
        _NET_WM_WINDOW_TYPE_DOCK,
        _NET_WM_WINDOW_TYPE_DESKTOP,
        _NET_WM_WINDOW_TYPE_MENU,
        _NET_WM_WINDOW_TYPE_NOTIFICATION,
    }
}

impl From<ReplyError> for Unseen {
    fn from(error: ReplyError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<ConnectionError> for Unseen {
    fn from(error: ConnectionError) -> Self {
        Self::Broken(error.to_string())
    }
}

pub(super) struct DisplayConnection {
    server: RustConnection,
    root: u32,
    atoms: Atoms,
    /// This computer's name, as windows give it in `WM_CLIENT_MACHINE`.
    machine: Option<Vec<u8>>,
}

/// Whether there may be windows that X11 does not show.
pub(super) fn hides_windows() -> bool {
    variable("WAYLAND_DISPLAY").is_some() || variable("WAYLAND_SOCKET").is_some()
}

impl DisplayConnection {
    pub(super) fn connect() -> Result<Self, Unseen> {
        if variable("DISPLAY").is_none() {
            return Err(if hides_windows() { Unseen::Hidden } else { Unseen::NoDisplay });
        }
        let (server, screen) =
            x11rb::connect(None).map_err(|error| Unseen::Broken(error.to_string()))?;
        let root = server
            .setup()
            .roots
            .get(screen)
            .ok_or_else(|| Unseen::Broken("it has no screen".to_owned()))?
            .root;
        let atoms = Atoms::new(&server)?.reply()?;
        let machine =
            std::fs::read("/proc/sys/kernel/hostname").ok().map(|name| name.trim_ascii().to_vec());
        Ok(Self { server, root, atoms, machine })
    }

    pub(super) fn windows(&self, processes: &[Process]) -> Result<Vec<Window>, Unseen> {
        let owners = self.process_of_each_client()?;
        let ids = match self.managed()? {
            Some(ids) => ids,
            None => self.found_below_the_root()?,
        };
        let mut windows = Vec::new();
        for id in ids {
            // A window may close while it is being read.
            if let Ok(Some(window)) = self.look_at(id, processes, &owners) {
                windows.push(window);
            }
        }
        Ok(windows)
    }

    pub(super) fn ask_to_close(&self, window: &Window) -> Result<(), Unseen> {
        let Ok(id) = u32::try_from(window.id) else { return Ok(()) };
        let message = ClientMessageEvent::new(
            32,
            id,
            self.atoms.WM_PROTOCOLS,
            [self.atoms.WM_DELETE_WINDOW, 0, 0, 0, 0],
        );
        self.server.send_event(false, id, EventMask::NO_EVENT, message)?.ignore_error();
        Ok(self.server.flush()?)
    }

    pub(super) fn bring_forward(&self, window: &Window) -> Result<(), Unseen> {
        let Ok(id) = u32::try_from(window.id) else { return Ok(()) };
        if self.managed()?.is_some() {
            let message = ClientMessageEvent::new(
                32,
                id,
                self.atoms._NET_ACTIVE_WINDOW,
                [ON_A_PERSONS_WORD, 0, 0, 0, 0],
            );
            let listeners = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::SUBSTRUCTURE_REDIRECT;
            self.server.send_event(false, self.root, listeners, message)?.ignore_error();
        } else {
            let above = ConfigureWindowAux::new().stack_mode(StackMode::ABOVE);
            self.server.configure_window(id, &above)?.ignore_error();
            self.server
                .set_input_focus(InputFocus::PARENT, id, x11rb::CURRENT_TIME)?
                .ignore_error();
        }
        Ok(self.server.flush()?)
    }

    /// If the server does not say which processes it serves, it may serve any.
    pub(super) fn serves(&self, processes: &[Process]) -> bool {
        let clients = self.process_of_each_client().unwrap_or_default();
        clients.is_empty()
            || processes.iter().any(|process| clients.values().any(|client| *client == process.id))
    }

    /// The windows that the running window manager manages, the oldest first; `None` without one.
    fn managed(&self) -> Result<Option<Vec<u32>>, Unseen> {
        let check = |window| -> Result<Option<u32>, Unseen> {
            let reply = self.property(
                window,
                self.atoms._NET_SUPPORTING_WM_CHECK,
                AtomEnum::WINDOW.into(),
            )?;
            Ok(numbers(&reply).first().copied())
        };
        // A window manager that has crashed leaves the root's property, but not the window that it
        // names.
        let Some(witness) = check(self.root)? else { return Ok(None) };
        if check(witness).ok().flatten() != Some(witness) {
            return Ok(None);
        }
        let reply =
            self.property(self.root, self.atoms._NET_CLIENT_LIST, AtomEnum::WINDOW.into())?;
        Ok((reply.type_ != x11rb::NONE).then(|| numbers(&reply)))
    }

    /// Windows outside any list: with an old window manager, the windows in its frames; without
    /// one, the visible windows.
    fn found_below_the_root(&self) -> Result<Vec<u32>, Unseen> {
        let mut found = Vec::new();
        for child in self.server.query_tree(self.root)?.reply()?.children {
            if let Ok(Some(window)) = self.framed(child, 0) {
                found.push(window);
            } else if self.is_shown(child).unwrap_or(false) {
                found.push(child);
            }
        }
        // One program's window numbers rise in the order in which it creates them; the order of the
        // root's children changes.
        found.sort_unstable();
        Ok(found)
    }

    /// The window, here or below, that a window manager has marked as open.
    fn framed(&self, window: u32, depth: u32) -> Result<Option<u32>, Unseen> {
        let state = self.property(window, self.atoms.WM_STATE, AtomEnum::ANY.into())?;
        // 0 is "withdrawn".
        match numbers(&state).first() {
            Some(0) => return Ok(None),
            Some(_) => return Ok(Some(window)),
            None if depth >= DEEPEST_FRAME => return Ok(None),
            None => {}
        }
        let children = self.server.query_tree(window)?.reply()?.children;
        Ok(children.into_iter().find_map(|child| self.framed(child, depth + 1).ok().flatten()))
    }

    /// Menus and tooltips are the program's own business (override-redirect); an invisible window
    /// is not open.
    fn is_shown(&self, window: u32) -> Result<bool, Unseen> {
        let attributes = self.server.get_window_attributes(window)?.reply()?;
        Ok(!attributes.override_redirect && attributes.map_state != MapState::UNMAPPED)
    }

    fn look_at(
        &self,
        id: u32,
        processes: &[Process],
        owners: &BTreeMap<u32, u32>,
    ) -> Result<Option<Window>, Unseen> {
        let atoms = &self.atoms;
        let ask = |name, kind: AtomEnum| {
            self.server.get_property(false, id, name, kind, 0, MAX_PROPERTY_WORDS)
        };
        // All requests are sent at once, so that the program waits for the server only once.
        let (process, machine) = (
            ask(atoms._NET_WM_PID, AtomEnum::CARDINAL)?,
            ask(atoms.WM_CLIENT_MACHINE, AtomEnum::ANY)?,
        );
        let (protocols, state) =
            (ask(atoms.WM_PROTOCOLS, AtomEnum::ATOM)?, ask(atoms._NET_WM_STATE, AtomEnum::ATOM)?);
        let owner = ask(AtomEnum::WM_TRANSIENT_FOR.into(), AtomEnum::WINDOW)?;
        let kinds = ask(atoms._NET_WM_WINDOW_TYPE, AtomEnum::ATOM)?;

        let client = owners.get(&(id & !self.server.setup().resource_id_mask)).copied();
        let machine = machine.reply()?.value;
        let is_here = machine.is_empty()
            || self.machine.as_ref().is_none_or(|name| *name == machine.trim_ascii());
        let says = numbers(&process.reply()?).first().copied().filter(|_| is_here);
        let is_ours = |candidate: &u32| processes.iter().any(|process| process.id == *candidate);
        let Some(process) = client.filter(is_ours).or(says.filter(is_ours)) else {
            return Ok(None);
        };

        let owner = numbers(&owner.reply()?)
            .first()
            .copied()
            .filter(|owner| *owner != x11rb::NONE && *owner != self.root);
        let kind = self.kind(&numbers(&kinds.reply()?), owner.is_some());
        Ok(Some(Window {
            id: id.into(),
            process,
            kind,
            owner: owner.map(u64::from),
            modal: numbers(&state.reply()?).contains(&atoms._NET_WM_STATE_MODAL),
            can_close: numbers(&protocols.reply()?).contains(&atoms.WM_DELETE_WINDOW),
        }))
    }

    /// The first known kind counts. Without one, a window that belongs to another is a dialog.
    fn kind(&self, named: &[u32], is_owned: bool) -> WindowKind {
        let atoms = &self.atoms;
        let known = named.iter().find_map(|kind| match *kind {
            kind if kind == atoms._NET_WM_WINDOW_TYPE_NORMAL => Some(WindowKind::Main),
            kind if kind == atoms._NET_WM_WINDOW_TYPE_DIALOG => Some(WindowKind::Dialog),
            kind => [
                atoms._NET_WM_WINDOW_TYPE_UTILITY,
                atoms._NET_WM_WINDOW_TYPE_TOOLBAR,
                atoms._NET_WM_WINDOW_TYPE_SPLASH,
                atoms._NET_WM_WINDOW_TYPE_DOCK,
                atoms._NET_WM_WINDOW_TYPE_DESKTOP,
                atoms._NET_WM_WINDOW_TYPE_MENU,
                atoms._NET_WM_WINDOW_TYPE_NOTIFICATION,
            ]
            .contains(&kind)
            .then_some(WindowKind::Other),
        });
        known.unwrap_or(if is_owned { WindowKind::Dialog } else { WindowKind::Main })
    }

    fn property(&self, window: u32, name: u32, kind: u32) -> Result<GetPropertyReply, Unseen> {
        Ok(self.server.get_property(false, window, name, kind, 0, MAX_PROPERTY_WORDS)?.reply()?)
    }

    /// The process of each client, by the part of the window numbers that all windows of a client
    /// share. Empty where the server does not give it.
    fn process_of_each_client(&self) -> Result<BTreeMap<u32, u32>, Unseen> {
        let Some(extension) = self.server.extension_information("X-Resource")? else {
            return Ok(BTreeMap::new());
        };
        let mut request = vec![extension.major_opcode, QUERY_CLIENT_IDS];
        request.extend(4_u16.to_ne_bytes());
        // One request for all clients (0): their processes.
        for word in [1, 0, PROCESS_ID] {
            request.extend(u32::to_ne_bytes(word));
        }
        let cookie = self
            .server
            .send_request_with_reply::<Clients>(&[IoSlice::new(&request)], Vec::new())?;
        match cookie.reply() {
            Ok(clients) => Ok(clients.0),
            // The server has an older version of the extension.
            Err(ReplyError::X11Error(_)) => Ok(BTreeMap::new()),
            Err(error) => Err(error.into()),
        }
    }
}

fn numbers(reply: &GetPropertyReply) -> Vec<u32> {
    reply.value32().map(Iterator::collect).unwrap_or_default()
}

/// The answer to `QueryClientIds`.
struct Clients(BTreeMap<u32, u32>);

impl TryParse for Clients {
    fn try_parse(value: &[u8]) -> Result<(Self, &[u8]), ParseError> {
        fn word(value: &[u8]) -> Result<(u32, &[u8]), ParseError> {
            let (word, rest) = value.split_first_chunk().ok_or(ParseError::InsufficientData)?;
            Ok((u32::from_ne_bytes(*word), rest))
        }
        let body = |from| value.get(from..).ok_or(ParseError::InsufficientData);
        let (count, _) = word(body(8)?)?;
        let mut rest = body(32)?;
        let mut clients = BTreeMap::new();
        for _ in 0..count {
            let (client, after) = word(rest)?;
            let (mask, after) = word(after)?;
            let (length, after) = word(after)?;
            let length = usize::try_from(length).map_err(|_| ParseError::InsufficientData)?;
            let known = after.get(..length).ok_or(ParseError::InsufficientData)?;
            if mask == PROCESS_ID && length >= 4 {
                clients.insert(client, word(known)?.0);
            }
            rest = &after[length..];
        }
        Ok((Self(clients), rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer with these words after its header.
    fn answer(count: u32, words: &[u32]) -> Vec<u8> {
        let mut bytes = vec![1, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(count.to_ne_bytes());
        bytes.resize(32, 0);
        bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        bytes
    }

    #[test]
    fn the_servers_word_on_processes_is_read_and_a_short_one_refused() {
        let whole = answer(2, &[0x20_0000, PROCESS_ID, 4, 4711, 0x40_0000, 1, 0]);
        assert_eq!(Clients::try_parse(&whole).unwrap().0.0, BTreeMap::from([(0x20_0000, 4711)]));
        for length in 0..whole.len() {
            assert!(Clients::try_parse(&whole[..length]).is_err(), "{length}");
        }
        let wild = answer(1, &[0x20_0000, PROCESS_ID, u32::MAX, 1]);
        assert!(Clients::try_parse(&wild).is_err());
    }
}
