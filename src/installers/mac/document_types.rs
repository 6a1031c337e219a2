//! What the property list of an application bundle says of the app's documents.
//!
//! In: the types of documents. Out: keys of `Info.plist`. Never: claims a common type; the app is
//! an alternative there.

use crate::desktop::Document;
use crate::desktop::freedesktop::xml;
use crate::model::document_type::DocumentType;

/// The picture of documents without one of their own: that of the app.
const APP_ICON: &str = "icon";

/// The keys for these documents of the app with this identifier; empty without documents.
pub(super) fn entries(documents: &[Document], app: &str) -> String {
    if documents.is_empty() {
        return String::new();
    }
    let opened: String = documents.iter().map(|document| opened(document, app)).collect();
    let own = documents.iter().filter(|document| document.kind.is_own);
    let own: String = own.map(|document| defined(document, app)).collect();
    let defined = if own.is_empty() {
        own
    } else {
        format!("  <key>UTExportedTypeDeclarations</key>\n  <array>\n{own}  </array>\n")
    };
    format!("  <key>CFBundleDocumentTypes</key>\n  <array>\n{opened}  </array>\n{defined}")
}

/// The name of a document's picture in the bundle.
pub(super) fn picture_name(kind: &DocumentType) -> String {
    format!("{}.icns", kind.file_stem())
}

/// A type that the app opens.
fn opened(document: &Document, app: &str) -> String {
    let kind = &document.kind;
    let (rank, which) = if kind.is_own {
        ("Owner", array("LSItemContentTypes", &[identifier(app, kind)]))
    } else {
        ("Alternate", array("CFBundleTypeExtensions", &kind.extensions))
    };
    let icon = pair("CFBundleTypeIconFile", &icon_of(document));
    let name = pair("CFBundleTypeName", kind.usual_name());
    let role = pair("CFBundleTypeRole", "Editor");
    dictionary(&[icon, name, role, pair("LSHandlerRank", rank), which].concat())
}

/// A type that the app defines.
fn defined(document: &Document, app: &str) -> String {
    let kind = &document.kind;
    let tags = [
        array("public.filename-extension", &kind.extensions),
        array("public.mime-type", std::slice::from_ref(&kind.mime)),
    ];
    let tags = format!("<key>UTTypeTagSpecification</key>\n{}", dictionary(&tags.concat()));
    let parts = [
        array("UTTypeConformsTo", &["public.data".to_owned()]),
        pair("UTTypeDescription", kind.usual_name()),
        pair("UTTypeIconFile", &icon_of(document)),
        pair("UTTypeIdentifier", &identifier(app, kind)),
        tags,
    ];
    dictionary(&parts.concat())
}

/// The type's identifier: a name that no other app has.
fn identifier(app: &str, kind: &DocumentType) -> String {
    let extension = kind.extensions.first().map(String::as_str).unwrap_or_default();
    // Letters, digits, `-` and `.` only.
    format!("{app}.{}", extension.replace(['_', '+'], "-"))
}

fn icon_of(document: &Document) -> String {
    match document.icon {
        Some(_) => document.kind.file_stem(),
        None => APP_ICON.to_owned(),
    }
}

fn pair(key: &str, value: &str) -> String {
    format!("<key>{key}</key>\n<string>{}</string>\n", xml(value))
}

fn array(key: &str, values: &[String]) -> String {
    let values: String =
        values.iter().map(|value| format!("<string>{}</string>\n", xml(value))).collect();
    format!("<key>{key}</key>\n<array>\n{values}</array>\n")
}

fn dictionary(content: &str) -> String {
    format!("<dict>\n{content}</dict>\n")
}
