//! The files of `web/` and what is in them: which there are, which modules need which, and what of them is sent. How they
//! are served is `web_client.rs`'s.

/// One file: its name in `web/`, what it is, what is in it.
pub(super) struct Asset {
    pub(super) name: &'static str,
    pub(super) content_type: &'static str,
    pub(super) content: &'static str,
}

impl Asset {
    /// As it is sent: what only the reader of the source needs is a fifth of the page.
    pub(super) fn served(&self) -> String {
        match self.content_type {
            SCRIPT | CSS => without_comments(self.content),
            _ => self.content.to_owned(),
        }
    }
}

pub(super) const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const MANIFEST: &str = "application/manifest+json";

macro_rules! assets {
    ($($content_type:ident: $($name:literal)*;)*) => {
        &[$($(Asset {
            name: $name,
            content_type: $content_type,
            content: include_str!(concat!("../../../../web/", $name)),
        }),*),*]
    };
}

pub(super) const INDEX: Asset = Asset {
    name: "index.html",
    content_type: HTML,
    content: include_str!("../../../../web/index.html"),
};

pub(super) const ASSETS: &[Asset] = assets! {
    CSS: "base.css" "layout.css" "list.css" "messages.css" "settings.css";
    SVG: "icon.svg" "icon-unread.svg";
    MANIFEST: "manifest.webmanifest";
    SCRIPT: "actions.js" "api.js" "appearance.js" "backoff.js" "chat.js" "connection.js" "device-name.js"
        "device.js" "dom.js" "form.js" "formats.js" "frame.js" "language-choice.js" "language.js" "link.js" "list-filter.js" "list-row.js"
        "log-place.js" "main.js" "markup.js" "member-list.js" "menu.js" "message-row.js" "message-window.js" "names.js"
        "notifications.js" "outbox.js" "page-slices.js" "pending.js" "people-search.js" "picture.js" "press.js"
        "problems.js" "quotes.js"
        "reading.js" "settings-appearance.js" "settings-blocked.js" "settings-delete.js" "settings-devices.js"
        "settings-email.js" "settings-notifications.js" "settings-password.js" "settings-picture.js" "settings-profile.js"
        "settings-two-step.js" "settings.js" "shortcuts.js" "storage.js" "store.js" "strings.js" "summary.js"
        "text.js" "timeline.js" "unread.js" "unsent.js" "view-account.js" "view-banner.js" "view-chat.js"
        "view-composer.js" "view-confirm.js" "view-details.js" "view-edges.js" "view-go-to.js"
        "view-invitation.js" "view-list.js" "view-lost-password.js" "view-markup.js" "view-messages.js"
        "view-new.js" "view-notice.js" "view-notifications.js" "view-profile.js" "view-second-step.js"
        "view-sign-in.js" "view-unread.js" "view-visit.js";
    // Loaded by whoever reads that language.
    SCRIPT: "strings-de.js" "admin-strings-de.js";
    // Loaded when an administrator opens it.
    CSS: "admin.css";
    SCRIPT: "admin-announcement.js" "admin-api.js" "admin-audit.js" "admin-card.js" "admin-chats.js"
        "admin-confirm.js" "admin-devices.js" "admin-nodes.js" "admin-password-link.js" "admin-people.js" "admin-settings.js"
        "admin-strings.js" "admin-table.js" "admin-text.js" "admin.js"
        "view-administration.js" "view-announcement.js";
};

/// The modules that this one imports, and those that they import. A module that is imported when it is needed
/// (`import()`) is not among them.
pub(super) fn needed_from(first: &'static str) -> Vec<&'static str> {
    let mut needed = vec![first];
    let mut next = 0;
    while let Some(&name) = needed.get(next) {
        next += 1;
        let module = ASSETS.iter().find(|asset| asset.name == name);
        let more = module.into_iter().flat_map(|module| imports(module.content));
        for import in more {
            if !needed.contains(&import) {
                needed.push(import);
            }
        }
    }
    needed
}

/// The names in a module's lines `import … from './name.js';`.
fn imports(module: &'static str) -> impl Iterator<Item = &'static str> {
    module.lines().filter_map(|line| line.split_once(" from './")?.1.strip_suffix("';"))
}

/// Without the comments that have lines of their own, of one line or of several.
fn without_comments(source: &str) -> String {
    let mut within = false;
    let is_code = |line: &&str| {
        let text = line.trim();
        let begins = within || text.starts_with("/*");
        within = begins && !text.contains("*/");
        !(begins && (within || text.ends_with("*/")) || text.starts_with("//"))
    };
    source.split_inclusive('\n').filter(is_code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    #[test]
    fn comments_on_lines_of_their_own_stay_behind() {
        let source = "// One.\n/** Two\n * lines. */\nconst a = 'http://x'; // Stays.\n\n  /* Short. */\n/* Kept. */ b();\n\
            /*\n c();\n*/\n  d();\n";
        let code = "const a = 'http://x'; // Stays.\n\n/* Kept. */ b();\n  d();\n";
        assert_eq!(without_comments(source), code);
        // A text of several lines could have lines that look like comments: there is none.
        // The parser of such texts has the sign itself.
        let scripts = ASSETS.iter().filter(|asset| asset.content_type == SCRIPT);
        for asset in scripts.filter(|asset| asset.name != "markup.js") {
            let served = asset.served();
            let mut open = served.lines().filter(|line| line.matches('`').count() % 2 == 1);
            assert_eq!(open.next(), None, "{}", asset.name);
        }
    }

    #[test]
    fn every_file_of_the_page_is_embedded() {
        let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        for entry in fs::read_dir(web).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if ["index.html", "package.json", ".oxlintrc.json", "tests"].contains(&name.as_str()) {
                continue;
            }
            assert!(ASSETS.iter().any(|asset| asset.name == name), "{name} is not embedded");
        }
    }

    #[test]
    fn every_module_that_is_imported_is_served() {
        for asset in ASSETS.iter().filter(|asset| asset.content_type == SCRIPT) {
            let statements = asset.content.matches(" from '").count();
            assert_eq!(
                imports(asset.content).count(),
                statements,
                "unread imports in {}",
                asset.name
            );
            let later = asset.content.split("import('./").skip(1);
            let later = later.filter_map(|rest| Some(rest.split_once("')")?.0));
            for import in imports(asset.content).chain(later) {
                assert!(
                    ASSETS.iter().any(|asset| asset.name == import),
                    "{} imports {import}",
                    asset.name
                );
            }
        }
    }

    #[test]
    fn nothing_is_inline_and_no_data_becomes_markup() {
        for forbidden in ["<style", " style=", " onclick=", "<script>", "javascript:"] {
            assert!(!INDEX.content.contains(forbidden), "{forbidden}");
        }
        for asset in ASSETS.iter().filter(|asset| asset.content_type == SCRIPT) {
            for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "Storage"] {
                // A device's own choices; nothing else is kept in the clear.
                if (forbidden, asset.name) == ("Storage", "device.js") {
                    continue;
                }
                assert!(!asset.content.contains(forbidden), "{forbidden} in {}", asset.name);
            }
        }
    }
}
