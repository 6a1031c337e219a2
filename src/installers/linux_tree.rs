//! What a package for Linux installs, and where, which `.deb` and `.rpm` have in common.
//!
//! In: a product, and a payload or tools. Out: folders, files and links below `/`, sorted, with all parent
//! folders. Never: a script that runs as root: menus, icons and kinds of files are files, and the
//! system's own triggers read them.

use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::{Compression, GzBuilder};

use super::error::InstallerError;
use super::icons::Icon;
use super::linux_texts;
use super::payload::{Content, Payload, PayloadFile};
use super::product::Product;
use super::tools::Tools;
use crate::desktop::freedesktop;
use crate::model::Platform;

/// What is at a place.
#[derive(Clone, Debug)]
pub(super) enum TreeItem {
    Folder,
    File { mode: u32, content: Content },
    Link { target: String },
}

/// Folders, files and links by their place, without a slash in front.
pub(super) type Tree = BTreeMap<String, TreeItem>;

/// What a package for Linux is made of.
pub(super) struct LinuxPackage<'a> {
    pub product: &'a Product,
    pub platform: &'a Platform,
    pub tree: Tree,
    /// What it says of itself, below its one line.
    pub description: String,
    pub needs: Needs,
}

/// What its programs need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// The version of the GNU C library.
    pub c_library: Option<(u32, u32)>,
    /// Whether they load GCC's library for unwinding.
    pub unwinder: bool,
    pub is_64_bit: bool,
}

impl Needs {
    fn of(programs: &[&Content]) -> Result<Self, InstallerError> {
        let mut needs = Self::default();
        for program in programs {
            let program = program.read()?;
            needs.c_library = needs.c_library.max(linux_texts::needed_c_library(&program));
            needs.unwinder |= linux_texts::needs_library(&program, "libgcc_s.so.1");
            needs.is_64_bit |= program.get(4) == Some(&2);
        }
        Ok(needs)
    }
}

impl<'a> LinuxPackage<'a> {
    /// The package that brings an app's launcher.
    pub(super) fn of_app(
        product: &'a Product,
        payload: &'a Payload,
    ) -> Result<Self, InstallerError> {
        let programs: Vec<&Content> =
            payload.program().map(|file| &file.content).into_iter().collect();
        Ok(Self {
            product,
            platform: &payload.platform,
            tree: app_tree(product, payload)?,
            description: linux_texts::description(product),
            needs: Needs::of(&programs)?,
        })
    }

    /// The package of tools.
    pub(super) fn of_tools(product: &'a Product, tools: &'a Tools) -> Result<Self, InstallerError> {
        let files = tools.files();
        let programs: Vec<&Content> =
            files.iter().filter(|file| file.is_program).map(|file| &file.content).collect();
        Ok(Self {
            product,
            platform: &tools.platform,
            tree: tools_tree(product, &files)?,
            description: format!(
                "{} for a terminal and for scripts: programs, manual pages and completions.",
                product.display_name
            ),
            needs: Needs::of(&programs)?,
        })
    }
}

/// The tree of an app's package.
fn app_tree(product: &Product, payload: &Payload) -> Result<Tree, InstallerError> {
    let name = product.package_name();
    let mut tree = Tree::new();
    for file in &payload.files {
        let item = TreeItem::File { mode: file.mode(), content: file.content.clone() };
        tree.insert(format!("usr/lib/{name}/{}", file.name), item);
    }
    let program = product.program_name(&payload.platform);
    let link = TreeItem::Link { target: format!("../lib/{name}/{program}") };
    tree.insert(format!("usr/bin/{name}"), link);
    menu(product, &mut tree)?;
    let mut text = |path: String, text: String| {
        tree.insert(
            path,
            TreeItem::File { mode: 0o644, content: Content::Bytes(text.into_bytes()) },
        );
    };
    if product.homepage.is_some() {
        let id = product.identifier();
        text(format!("usr/share/metainfo/{id}.metainfo.xml"), linux_texts::metainfo(product));
    }
    text(format!("usr/share/doc/{name}/copyright"), linux_texts::copyright(product));
    let manual = packed(&linux_texts::manual(product))?;
    let changes = packed(&linux_texts::changes(product, " The launcher shows what is new in it."))?;
    for (path, bytes) in [
        (format!("usr/share/man/man1/{name}.1.gz"), manual),
        (format!("usr/share/doc/{name}/changelog.gz"), changes),
    ] {
        tree.insert(path, TreeItem::File { mode: 0o644, content: Content::Bytes(bytes) });
    }
    add_folders(&mut tree);
    Ok(tree)
}

/// The tree of a package of tools, whose files lie below `/usr`.
fn tools_tree(product: &Product, files: &[PayloadFile]) -> Result<Tree, InstallerError> {
    let name = product.package_name();
    let mut tree = Tree::new();
    let changes = packed(&linux_texts::changes(product, ""))?;
    for (path, bytes) in [
        (
            format!("usr/share/doc/{name}/copyright"),
            linux_texts::tools_copyright(product).into_bytes(),
        ),
        (format!("usr/share/doc/{name}/changelog.gz"), changes),
    ] {
        tree.insert(path, TreeItem::File { mode: 0o644, content: Content::Bytes(bytes) });
    }
    // A file of the folder takes the place of a usual one.
    for file in files {
        let item = TreeItem::File { mode: file.mode(), content: file.content.clone() };
        tree.insert(format!("usr/{}", file.name), item);
    }
    add_folders(&mut tree);
    Ok(tree)
}

/// The folders that only this package has; a package manager removes them with it.
pub(super) fn own_folders(product: &Product) -> [String; 2] {
    let name = product.package_name();
    [format!("usr/lib/{name}"), format!("usr/share/doc/{name}")]
}

fn menu(product: &Product, tree: &mut Tree) -> Result<(), InstallerError> {
    let name = product.package_name();
    let entry = product.entry(format!("/usr/bin/{name}").into(), Vec::new());
    let texts = [
        (format!("usr/share/applications/{name}.desktop"), freedesktop::application(&entry)?),
        (format!("usr/share/applications/{name}-install.desktop"), freedesktop::opener(&entry)?),
        (format!("usr/share/mime/packages/{name}.xml"), freedesktop::mime_package(&entry)),
    ];
    let texts = texts.into_iter().map(|(path, text)| (path, text.into_bytes()));
    let icons =
        product.icon.for_hicolor().into_iter().map(|(side, png)| {
            (format!("usr/share/icons/hicolor/{side}x{side}/apps/{name}.png"), png)
        });
    let own = product.documents.iter().filter(|document| document.kind.is_own);
    let pictures = own.flat_map(|document| {
        let icon = document.icon.as_deref().and_then(Icon::read);
        let name = freedesktop::icon_of_type(&entry.id, &document.kind.mime);
        let sizes = icon.map(|icon| icon.for_hicolor()).unwrap_or_default();
        sizes.into_iter().map(move |(side, png)| {
            (format!("usr/share/icons/hicolor/{side}x{side}/mimetypes/{name}.png"), png)
        })
    });
    let scalable = product
        .icon
        .scalable()
        .map(|svg| (format!("usr/share/icons/hicolor/scalable/apps/{name}.svg"), svg.to_vec()));
    for (path, bytes) in texts.chain(icons).chain(scalable).chain(pictures) {
        tree.insert(path, TreeItem::File { mode: 0o644, content: Content::Bytes(bytes) });
    }
    Ok(())
}

/// `text` as gzip without a name or a time.
fn packed(text: &str) -> Result<Vec<u8>, InstallerError> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes())?;
    Ok(encoder.finish()?)
}

fn add_folders(tree: &mut Tree) {
    let parents: Vec<String> = tree
        .keys()
        .flat_map(|path| path.match_indices('/').map(|(at, _)| path[..at].to_owned()))
        .collect();
    for folder in parents {
        tree.entry(folder).or_insert(TreeItem::Folder);
    }
}
