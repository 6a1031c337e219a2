//! Where the notification stands: at the lower right of the screen without its bars. Pure, in
//! pixels of the desktop.

use crate::gui::screen::Screen;

/// Distance from the edges of the free part of the screen, points.
const MARGIN: f64 = 10.0;

/// The path of the upper left corner of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlidePath {
    /// The start, outside of the screen on the right.
    from: (i32, i32),
    /// The end, where the window stays.
    to: (i32, i32),
}

impl SlidePath {
    /// The path of a window with this size in pixels.
    pub(super) fn new(screen: &Screen, (width, height): (u32, u32)) -> Self {
        let margin = pixels(MARGIN * screen.scale);
        let to = (
            screen
                .free
                .right()
                .saturating_sub_unsigned(width)
                .saturating_sub(margin)
                .max(screen.free.left),
            screen
                .free
                .bottom()
                .saturating_sub_unsigned(height)
                .saturating_sub(margin)
                .max(screen.free.top),
        );
        // On a screen to the right the window would seem to appear from the middle of nowhere.
        let outside =
            if screen.is_beside { to.0.saturating_add(margin) } else { screen.whole.right() };
        Self { from: (outside.max(to.0), to.1), to }
    }

    /// The position after a part of the path, 0 to 1.
    pub(super) fn at(&self, part: f32) -> (i32, i32) {
        let between = |from: i32, to: i32| from + pixels(f64::from(to - from) * f64::from(part));
        (between(self.from.0, self.to.0), between(self.from.1, self.to.1))
    }
}

fn pixels(length: f64) -> i32 {
    length.round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::screen::Area;

    const WHOLE: Area = Area { left: 0, top: 0, width: 1920, height: 1080 };
    const SCREEN: Screen = Screen { whole: WHOLE, free: WHOLE, scale: 1.0, is_beside: false };

    #[test]
    fn it_stands_at_the_lower_right_at_every_scale() {
        assert_eq!(SlidePath::new(&SCREEN, (280, 80)).at(1.0), (1630, 990));
        let doubled = Screen { scale: 2.0, ..SCREEN };
        assert_eq!(SlidePath::new(&doubled, (560, 160)).at(1.0), (1340, 900));
        let broken = Screen { scale: 1.25, ..SCREEN };
        assert_eq!(SlidePath::new(&broken, (350, 100)).at(1.0), (1557, 967));
    }

    #[test]
    fn bars_are_left_free() {
        let taskbar = Screen { free: Area { height: 1040, ..WHOLE }, ..SCREEN };
        assert_eq!(SlidePath::new(&taskbar, (280, 80)).at(1.0), (1630, 950));
        let dock_at_the_right = Screen { free: Area { width: 1850, ..WHOLE }, ..SCREEN };
        assert_eq!(SlidePath::new(&dock_at_the_right, (280, 80)).at(1.0), (1560, 990));
    }

    #[test]
    fn it_comes_from_outside_but_not_over_another_screen() {
        let slide = SlidePath::new(&SCREEN, (280, 80));
        assert_eq!((slide.at(0.0), slide.at(0.5)), ((1920, 990), (1775, 990)));
        let beside = SlidePath::new(&Screen { is_beside: true, ..SCREEN }, (280, 80));
        assert_eq!((beside.at(0.0), beside.at(1.0)), ((1640, 990), (1630, 990)));
    }

    #[test]
    fn on_a_screen_that_is_too_small_its_beginning_is_seen() {
        let small = Area { width: 200, height: 60, ..WHOLE };
        assert_eq!(
            SlidePath::new(&Screen { whole: small, free: small, ..SCREEN }, (280, 80)).at(1.0),
            (0, 0)
        );
    }
}
