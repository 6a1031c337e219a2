//! How large the window is. All screens of an update share one size; a window that only reports has
//! another one. Neither is larger than the screen has room for. Longer contents scroll, and the
//! buttons stay in place.

use egui::{Pos2, Rect, Vec2, ViewportCommand, pos2, vec2};

use crate::gui::screen::{AROUND, BARS, MIN_SIZE};
use crate::gui::theme;

/// Size of a window for an update, points.
pub(super) const UPDATE: Vec2 = vec2(theme::WIDTH, 600.0);
/// Size of a window that only reports and asks nothing, points.
pub(super) const REPORT: Vec2 = vec2(theme::WIDTH, 360.0);

/// What the dialog knows about the window's size.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    /// The room on the screen; unknown where the system reported no screen.
    room: Option<Vec2>,
    /// The size that the dialog requested last.
    asked: Option<Vec2>,
    /// The screen's size; a change of it shows that the screen or its scale changed.
    monitor: Option<Vec2>,
}

/// The wanted size, limited to the room on the screen.
fn limited(wanted: Vec2, room: Option<Vec2>) -> Vec2 {
    room.map_or(wanted, |room| wanted.min(room))
}

/// The room on a screen of which only the size is known.
fn room_on(monitor: Vec2) -> Vec2 {
    (monitor - vec2(0.0, BARS) - AROUND).max(MIN_SIZE)
}

/// The new position of a window after its size changed, so that its middle stays where it was.
fn grown(outer: Rect, by: Vec2) -> Pos2 {
    let corner = outer.min - by / 2.0;
    pos2(corner.x, corner.y.max(outer.min.y.min(0.0)))
}

impl Size {
    /// The first size of the window, points, on a screen with this much room.
    pub(super) fn first(&mut self, wanted: Vec2, room: Option<Vec2>) -> Vec2 {
        self.room = room;
        let size = limited(wanted, room);
        self.asked = Some(size);
        size
    }

    /// Requests another size in two cases: the window now has another purpose, or another screen or
    /// scale has too little room for the present size. Otherwise the user's own size stays.
    pub(super) fn keep(&mut self, wanted: Vec2, context: &egui::Context) {
        let (monitor, inner, outer, filled) = context.input(|input| {
            let viewport = input.viewport();
            let filled = viewport.maximized == Some(true) || viewport.fullscreen == Some(true);
            (
                viewport.monitor_size,
                viewport.inner_rect.map(|rect| rect.size()),
                viewport.outer_rect,
                filled,
            )
        });
        let mut moved = false;
        if let Some(monitor) = monitor {
            let before = self.monitor.replace(monitor);
            moved = before.map_or(self.room.is_none(), |before| (before - monitor).length() > 1.0);
            if moved {
                self.room = Some(room_on(monitor));
            }
        }
        let room = self.room;
        let wanted = limited(wanted, room);
        let is_other = self.asked.is_none_or(|asked| !moved && (asked - wanted).length() > 0.5);
        let too_large = moved && inner.zip(room).is_some_and(|(inner, room)| !fits(inner, room));
        if filled || !is_other && !too_large {
            return;
        }
        self.asked = Some(wanted);
        if let (Some(inner), Some(outer)) = (inner, outer) {
            context.send_viewport_cmd(ViewportCommand::OuterPosition(grown(outer, wanted - inner)));
        }
        context.send_viewport_cmd(ViewportCommand::InnerSize(wanted));
    }
}

fn fits(size: Vec2, room: Vec2) -> bool {
    size.x <= room.x + 1.0 && size.y <= room.y + 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_never_larger_than_its_screen_has_room_for() {
        // Width, height, and scale of screens.
        for (width, height, scale) in [
            (1024.0, 600.0, 1.0),
            (1280.0, 800.0, 2.0),
            (1366.0, 768.0, 1.5),
            (1920.0, 1080.0, 1.0),
            (3840.0, 2160.0, 2.5),
        ] {
            let monitor = vec2(width, height) / scale;
            for wanted in [UPDATE, REPORT] {
                let size = limited(wanted, Some(room_on(monitor)));
                assert!(
                    size.x <= monitor.x && size.y + AROUND.y <= monitor.y,
                    "{size} on {monitor}"
                );
                assert!(size.x >= 480.0 && size.y >= 240.0, "{size} on {monitor}");
            }
        }
        assert_eq!(limited(UPDATE, None), UPDATE);
        assert_eq!(limited(UPDATE, Some(room_on(vec2(10.0, 10.0)))), MIN_SIZE);
    }

    #[test]
    fn a_window_that_grows_keeps_its_middle_and_its_title_on_the_screen() {
        let outer = Rect::from_min_size(pos2(100.0, 90.0), vec2(544.0, 456.0));
        assert_eq!(grown(outer, vec2(0.0, 140.0)), pos2(100.0, 20.0));
        let high = Rect::from_min_size(pos2(100.0, 10.0), vec2(544.0, 456.0));
        assert_eq!(grown(high, vec2(0.0, 140.0)), pos2(100.0, 0.0));
        let above = Rect::from_min_size(pos2(100.0, -900.0), vec2(544.0, 456.0));
        assert_eq!(grown(above, vec2(0.0, 140.0)), pos2(100.0, -900.0));
    }
}
