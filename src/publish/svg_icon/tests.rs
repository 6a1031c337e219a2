//! Tests of icons from an SVG.

use super::*;

/// A red ring on a blue square, in a view of `size`.
fn ring(size: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE svg [<!ENTITY red \"#e02010\">]>\n<svg xmlns=\"{NAMESPACE}\" viewBox=\"0 0 {size}\">\
         <style>.back {{ fill: #2040c0 }}</style><rect class=\"back\" width=\"100%\" height=\"100%\"/>\
         <circle cx=\"50\" cy=\"50\" r=\"30\" fill=\"none\" stroke=\"&red;\" stroke-width=\"8\"/></svg>"
    )
}

fn svg(inner: &str) -> String {
    format!(
        "<svg xmlns=\"{NAMESPACE}\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" viewBox=\"0 0 100 100\">{inner}</svg>"
    )
}

fn draw(text: &str) -> Result<SvgIcon, String> {
    SvgIcon::draw(text.as_bytes().to_vec())
}

fn refused(text: &str) -> String {
    draw(text).err().unwrap_or_default()
}

#[test]
fn each_size_is_drawn_by_itself_and_the_same_way_each_time() {
    let [icon, again] = [(); 2].map(|()| draw(&ring("100 100")).unwrap());
    for side in SIDES {
        let png = icon.png(side).unwrap();
        assert_eq!(Some(&png), again.png(side).as_ref());
        let picture = image::load_from_memory(&png).unwrap().into_rgba8();
        assert_eq!(picture.dimensions(), (side, side));
        assert_eq!(picture.get_pixel(0, 0).0, [0x20, 0x40, 0xc0, 255]);
        // The ring's edge is at most one pixel wide at each place where a row through the middle
        // crosses it; in an enlarged picture it would be wider.
        let row = |at: u32| picture.get_pixel(at, side / 2).0;
        let is_pure =
            |pixel: [u8; 4]| [[0x20, 0x40, 0xc0, 255], [0xe0, 0x20, 0x10, 255]].contains(&pixel);
        let mixed = (0..side).filter(|at| !is_pure(row(*at))).count();
        assert!(mixed <= if side < 40 { 8 } else { 4 }, "{side}: {mixed}");
        assert!(side < 32 || row(side / 5)[0] > 0xd0, "{side}: no ring");
    }
    assert_eq!(icon.png(33), None);
    assert_eq!(icon.picture(33).unwrap().width(), 40);
    assert_eq!(icon.picture(5000).unwrap().width(), LARGEST_SIDE);
    assert_eq!(icon.warning(), None);
}

#[test]
fn a_small_size_has_more_than_a_shrunk_picture_would_have() {
    // One line between whole pixels of 16: drawn by itself it is black, shrunk from 20 it is grey.
    let line =
        svg("<path d=\"M0 0h100v100H0z\" fill=\"#fff\"/><path d=\"M50 0h6.25v100h-6.25z\"/>");
    let icon = draw(&line).unwrap();
    let drawn = icon.picture(16).unwrap();
    assert_eq!(drawn.get_pixel(8, 8).0, [0, 0, 0, 255]);
    assert_eq!((drawn.get_pixel(7, 8).0[0], drawn.get_pixel(9, 8).0[0]), (255, 255));
    let larger = icon.picture(20).unwrap();
    let shrunk = image::imageops::resize(larger, 16, 16, image::imageops::FilterType::CatmullRom);
    assert_ne!(shrunk.get_pixel(8, 8).0, [0, 0, 0, 255]);
}

#[test]
fn what_is_not_square_stands_in_the_middle() {
    let icon = draw(&svg("").replace(
        "viewBox=\"0 0 100 100\">",
        "viewBox=\"0 0 100 50\"><rect width=\"100\" height=\"50\"/>",
    ))
    .unwrap();
    let picture = icon.picture(64).unwrap();
    let opacity = |y: u32| picture.get_pixel(32, y).0[3];
    assert_eq!((opacity(15), opacity(16), opacity(47), opacity(48)), (0, 255, 255, 0));
}

#[test]
fn the_scalable_icon_looks_the_same_and_leads_nowhere() {
    let hostile = "<script>alert(1)</script><a xlink:href=\"https://example.com/\"><rect width=\"9\" height=\"9\" onclick=\"x()\"/></a>";
    let shown = ring("100 100").replace("</svg>", &format!("{hostile}</svg>"));
    let shown = shown.replace("<svg ", "<svg xmlns:xlink=\"http://www.w3.org/1999/xlink\" ");
    let icon = draw(&shown).unwrap();
    let text = std::str::from_utf8(icon.scalable().unwrap()).unwrap();
    for word in ["script", "example.com", "onclick", "ENTITY", "<style"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    let again = draw(text).unwrap();
    for side in SIDES {
        assert_eq!(again.picture(side), icon.picture(side), "{side}");
    }
}

#[test]
fn text_and_pictures_are_left_out_with_a_warning() {
    let square = "<rect width=\"50\" height=\"50\"/>";
    let picture = format!(
        "{square}<text y=\"90\">A</text><image xlink:href=\"/etc/hostname\" width=\"9\" height=\"9\"/>"
    );
    let icon = draw(&svg(&picture)).unwrap();
    assert!(icon.warning().unwrap().starts_with("contains text and pictures, which"));
    assert_eq!(icon.scalable(), None, "it would look another way");
    assert_eq!(icon.picture(64), draw(&svg(square)).unwrap().picture(64));
    let only = refused(&svg("<text y=\"90\">A</text>"));
    assert!(only.starts_with("shows nothing when it is drawn: text"), "{only}");
}

#[test]
fn no_picture_is_read_from_a_file_an_address_or_the_svg_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("red.png");
    RgbaImage::from_pixel(8, 8, image::Rgba([255, 0, 0, 255])).save(&file).unwrap();
    let inner = "data:image/svg+xml,&lt;svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'&gt;&lt;rect width='9' height='9'/&gt;&lt;/svg&gt;";
    for place in [file.to_str().unwrap(), "http://127.0.0.1:9/a.png", inner] {
        let image = format!("<image xlink:href=\"{place}\" width=\"100\" height=\"100\"/>");
        let filter = format!(
            "<filter id=\"f\"><feImage xlink:href=\"{place}\"/></filter><rect width=\"99\" height=\"99\" filter=\"url(#f)\"/>"
        );
        assert!(refused(&svg(&image)).starts_with("shows nothing"), "{place}");
        assert!(refused(&svg(&filter)).starts_with("shows nothing"), "{place}");
    }
    let entity = format!(
        "<!DOCTYPE svg [<!ENTITY x SYSTEM \"{}\">]>{}",
        file.display(),
        svg("<rect width=\"9\" height=\"9\"/>&x;")
    );
    assert!(refused(&entity).starts_with("is no SVG that can be read"));
}

#[test]
fn what_is_no_drawing_is_named() {
    for (text, reason) in [
        ("<html/>", "is no SVG: it does not begin with"),
        ("<svg viewBox='0 0 1 1'/>", "is no SVG: it does not begin with"),
        ("<svg", "is no SVG that can be read"),
        ("", "is no SVG that can be read"),
        (&svg(""), "shows nothing when it is drawn"),
        (
            &svg("<rect width=\"9\" height=\"9\"/>")
                .replace("viewBox", "width=\"0\" height=\"0\" x"),
            "is no SVG that can be drawn",
        ),
    ] {
        assert!(refused(text).starts_with(reason), "{text}: {}", refused(text));
    }
    assert!(SvgIcon::draw(vec![0xff, 0x00, 0x61]).unwrap_err().contains("UTF-8"));
    let large = svg(&" ".repeat(MAX_SVG_BYTES));
    assert!(refused(&large).starts_with("has 2097"), "{}", refused(&large));
}

/// `count` elements, each of which uses the one before `times` times.
fn nested(times: usize, count: usize) -> String {
    let mut text = "<rect id=\"a0\" width=\"9\" height=\"9\"/>".to_owned();
    for at in 1..=count {
        let uses = format!("<use xlink:href=\"#a{}\"/>", at - 1).repeat(times);
        text += &format!("<g id=\"a{at}\">{uses}</g>");
    }
    svg(&text)
}

#[test]
fn a_small_file_that_asks_for_too_much_is_refused_at_once() {
    let deep = format!("{}{}", "<g opacity=\"0.9\">".repeat(5000), "</g>".repeat(5000));
    let steps = format!(
        "<filter id=\"f\">{}</filter><rect width=\"9\" height=\"9\" filter=\"url(#f)\"/>",
        "<feFlood/>".repeat(21)
    );
    let entities = "<!DOCTYPE svg [<!ENTITY a \"aaaaaaaaaa\">".to_owned()
        + &(0..9)
            .map(|at| {
                let before = if at == 0 { "a".to_owned() } else { format!("e{}", at - 1) };
                format!("<!ENTITY e{at} \"{}\">", format!("&{before};").repeat(10))
            })
            .collect::<String>();
    let marker = format!(
        "<marker id=\"m\">{}</marker><path marker-mid=\"url(#m)\" d=\"{}\"/>",
        "<rect width=\"1\" height=\"1\"/>".repeat(500),
        "M1 1l1 1".repeat(500),
    );
    let bombs = [
        (nested(10, 9), "has too many parts for an icon (2469135791 elements"),
        (nested(1, 200), "has parts in one another too often"),
        (
            svg("<g id=\"a\"><use xlink:href=\"#a\"/></g>"),
            "has parts in one another too often, or in themselves",
        ),
        (svg(&deep), "has parts in one another too often"),
        (svg(&"<g/>".repeat(60_000)), "has too many parts for an icon (60001 elements"),
        (svg(&"<g/>".repeat(100_001)), "is no SVG that can be read: nodes limit"),
        (svg(&"<mask/>".repeat(301)), "has too many parts for an icon (301 masks"),
        (svg(&steps), "has too many parts for an icon (filters with 21 steps"),
        (svg(&marker), "has too many parts for an icon (markers"),
        (entities + "]>" + &svg("<desc>&e8;</desc>"), "is no SVG that can be read"),
    ];
    for (text, reason) in bombs {
        assert!(refused(&text).starts_with(reason), "{reason}: {}", refused(&text));
    }
}

#[test]
fn masks_within_masks_need_no_more_stack_than_there_is() {
    let mut text = String::new();
    for at in 0..MAX_CHAIN {
        text += &format!(
            "<mask id=\"m{at}\"><g class=\"n{at}\"><rect width=\"99\" height=\"99\" fill=\"#fff\"/></g></mask>"
        );
    }
    let style: String =
        (0..MAX_CHAIN).map(|at| format!(".n{at} {{ mask: url(#m{}) }}", at + 1)).collect();
    let text = svg(&format!(
        "<style>{style}</style>{text}<rect width=\"99\" height=\"99\" mask=\"url(#m0)\"/>"
    ));
    let result = within(Duration::from_millis(700), move || drawn(text.into_bytes()));
    // It ends with a picture or with an error; the program goes on.
    assert!(result.is_ok() || result.is_err_and(|reason| reason.starts_with("takes more than")));
}

/// As many masks as a file may have.
const MAX_CHAIN: usize = 299;

#[test]
fn a_drawing_that_takes_too_long_is_given_up() {
    let (end, ended) = mpsc::channel::<()>();
    let result: Result<(), String> = within(Duration::from_millis(50), move || {
        let _ = ended.recv();
        Ok(())
    });
    assert_eq!(
        result.unwrap_err(),
        "takes more than 0.05 s to draw; simplify it, or save it as a PNG"
    );
    drop(end);
    let failed: Result<(), String> = within(TIME_LIMIT, || panic!("expected in this test"));
    assert!(failed.unwrap_err().starts_with("cannot be drawn"));
}
