//! The texts of an application bundle of macOS.
//!
//! In: what the app is called. Out: `Info.plist`. Never: a look at a file.

use super::document_types;
use crate::desktop::freedesktop::xml;
use crate::installers::product::Product;

/// The oldest macOS that the launcher runs on.
const OLDEST_SYSTEM: &str = "11.0";

/// The property list of the bundle whose program is called `program`.
pub(super) fn information(product: &Product, program: &str) -> String {
    let version = product.version.to_string();
    // Only numbers count; what follows `-` has no place there.
    let numbers = version.split(['-', '+']).next().unwrap_or_default();
    let id = product.identifier();
    let mut pairs = vec![
        ("CFBundleDevelopmentRegion", "en"),
        ("CFBundleDisplayName", product.display_name.as_str()),
        ("CFBundleExecutable", program),
        ("CFBundleIconFile", "icon"),
        ("CFBundleIdentifier", &id),
        ("CFBundleInfoDictionaryVersion", "6.0"),
        ("CFBundleName", &product.display_name),
        ("CFBundlePackageType", "APPL"),
        ("CFBundleShortVersionString", numbers),
        ("CFBundleVersion", numbers),
        ("LSMinimumSystemVersion", OLDEST_SYSTEM),
    ];
    if !product.copyright.is_empty() {
        pairs.push(("NSHumanReadableCopyright", &product.copyright));
    }
    let pairs: String = pairs
        .iter()
        .map(|(key, value)| format!("  <key>{key}</key>\n  <string>{}</string>\n", xml(value)))
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n<dict>\n\
         {pairs}  <key>NSHighResolutionCapable</key>\n  <true/>\n  <key>LSUIElement</key>\n  \
         <true/>\n{}</dict>\n</plist>\n",
        document_types::entries(&product.documents, &id)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installers::product::tests::sample;

    #[test]
    fn names_are_escaped_and_a_version_is_numbers() {
        let product = Product { display_name: "A & <B>".to_owned(), ..sample() };
        let text = information(&product, "A & -B-");
        for line in [
            "<key>CFBundleName</key>\n  <string>A &amp; &lt;B&gt;</string>",
            "<key>CFBundleExecutable</key>\n  <string>A &amp; -B-</string>",
            "<key>CFBundleIdentifier</key>\n  <string>com.example.Sample</string>",
            "<key>CFBundleShortVersionString</key>\n  <string>1.2.0</string>",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
