//! `kuzflow site`: a page and a feed that fit the installers beside them.

use std::collections::BTreeMap;
use std::fs;

use super::{Shop, small_program, tool};
use crate::support::release::text;

/// Values of an attribute in HTML, without what leads to another place.
fn links(html: &str) -> Vec<String> {
    let values = html.split(" href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    values.filter(|value| !value.contains(':')).map(str::to_owned).collect()
}

#[test]
fn the_page_leads_to_every_installer_and_its_digest() {
    let shop = Shop::new();
    let first = shop.package(small_program(), &["--format", "deb,run"]);
    let notes = shop.world.path("notes.md");
    fs::write(&notes, "- *Faster* <script>alert(1)</script>\n").unwrap();
    let package = shop.world.build("1.1.0", &BTreeMap::new());
    shop.world.publish(&package, &["--no-patches", "--notes", text(&notes)]);
    let second = shop.package(small_program(), &["--format", "deb,rpm", "--with-release"]);
    let folder = shop.world.path("publisher");
    let address = "https://www.example.com/download/";
    shop.world.kuzflow(&["site", "--repo", text(&folder), "--url", address]);

    let folder = folder.join("installers");
    for name in ["index.html", "index.zh-CN.html"] {
        let html = fs::read_to_string(folder.join(name)).unwrap();
        for link in links(&html) {
            assert!(folder.join(&link).is_file(), "{name} leads to {link}");
        }
        let mut place = 0;
        for made in [&second, &first] {
            for installer in made["installers"].as_array().unwrap() {
                for key in ["file", "hash"] {
                    let value = installer[key].as_str().unwrap();
                    let at = html.find(value).unwrap_or_else(|| panic!("{name} lacks {value}"));
                    assert!(at > place, "{name}: the newest version is first");
                }
            }
            place = html.find(made["installers"][0]["hash"].as_str().unwrap()).unwrap();
        }
        assert!(html.contains("<em>Faster</em>") && !html.contains("<script>alert"), "{html}");
        assert!(html.contains("示例 Sample") && html.contains("data-system=\"Linux\""));
    }
    let feed = folder.join("feed.atom");
    let read = "import sys, xml.etree.ElementTree as tree\n\
        root = tree.parse(sys.argv[1]).getroot(); atom = '{http://www.w3.org/2005/Atom}'\n\
        for entry in root.findall(atom + 'entry'):\n    \
        print(entry.find(atom + 'title').text, entry.find(atom + 'link').get('href'))";
    if let Some(entries) = tool("python3", &["-c", read, text(&feed)]) {
        let page = format!("{address}index.html");
        assert_eq!(entries, format!("示例 Sample 1.1.0 {page}\n示例 Sample 1.0.0 {page}\n"));
    }
}

#[test]
fn an_installer_that_is_gone_is_on_no_page() {
    let shop = Shop::new();
    let folder = shop.world.path("publisher");
    let installers = folder.join("installers");
    shop.package(small_program(), &["--format", "deb,run"]);
    fs::remove_file(installers.join("sample_1.0.0_amd64.deb")).unwrap();
    shop.world.kuzflow(&["site", "--repo", text(&folder)]);
    let html = fs::read_to_string(installers.join("index.html")).unwrap();
    assert!(!html.contains(".deb") && html.contains(".run"), "{html}");
}
