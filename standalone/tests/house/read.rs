//! Reads the workspace's Rust files: which module each one is, what it takes from other modules of its
//! crate, and what is counted of it. Macros are not looked into.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::LazyLock,
};
use syn::{
    Attribute, ImplItemFn, Item, ItemFn, ItemMod, ItemUse, UseTree, Visibility,
    spanned::Spanned as _,
    visit::{self, Visit},
};

/// The crates, the product first.
const CRATES: [&str; 10] = [
    "shared/protocol",
    "shared/platform",
    "shared/determinism",
    "api",
    "gateway",
    "standalone",
    "canary",
    "cluster",
    "loadtest",
    "deploy",
];

/// One crate of the workspace.
pub struct Crate {
    /// As the code calls it.
    pub name: String,
    /// In the workspace.
    pub folder: String,
    pub files: Vec<SourceFile>,
}

/// One file below a crate's `src`.
pub struct SourceFile {
    /// Relative to `src`.
    pub path: String,
    /// The module's path without the crate: empty for `lib.rs` and `main.rs`.
    pub module: Vec<String>,
    /// Only compiled for tests.
    pub is_test: bool,
    /// Without comments, and without the tests at its end.
    pub code: String,
    /// Without the tests inside.
    pub lines: usize,
    pub test_lines: usize,
    pub why_comments: usize,
    /// Paths that it names, from the crate's root; outside of tests.
    pub takes: BTreeSet<Vec<String>>,
    /// Names of types that it defines, with the visibility `pub` or less.
    pub types: Vec<String>,
    pub public_items: usize,
    /// Functions outside of tests, and how many lines each has.
    pub functions: Vec<(String, usize)>,
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every crate of the workspace, read once.
pub fn house() -> &'static [Crate] {
    static HOUSE: LazyLock<Vec<Crate>> =
        LazyLock::new(|| CRATES.iter().map(|folder| read(folder)).collect());
    &HOUSE
}

/// The crate of this name.
pub fn named(name: &str) -> &'static Crate {
    house().iter().find(|krate| krate.name == name).expect("a crate of the workspace")
}

fn read(folder: &str) -> Crate {
    let name = folder.rsplit('/').next().unwrap_or(folder).to_owned();
    let source = root().join(folder).join("src");
    let mut paths = Vec::new();
    list(&source, &mut paths);
    let mut files: Vec<SourceFile> = paths.iter().map(|path| file(&name, &source, path)).collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    mark_tests(&mut files);
    Crate { name, folder: folder.to_owned(), files }
}

/// Lines of the Rust files below a folder; none where there is no such folder.
pub fn lines_below(folder: &Path) -> usize {
    let mut paths = Vec::new();
    list(folder, &mut paths);
    paths.iter().map(|path| text(path).lines().count()).sum()
}

fn list(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            list(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn file(name: &str, source: &Path, path: &Path) -> SourceFile {
    let text = text(path);
    let parsed =
        syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let path = path.strip_prefix(source).expect("a path below").to_string_lossy().into_owned();
    let mut module: Vec<String> =
        path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    let mut reader = Reader::new(name, &module);
    reader.visit_file(&parsed);
    let Reader { takes, types, public_items, functions, test_lines, .. } = reader;
    let is_comment = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("// ") && !line.starts_with("///") && !line.starts_with("//!")
    };
    let lines = text.lines().count() - test_lines;
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code = text.lines().take(lines).filter(is_code).map(|line| format!("{line}\n")).collect();
    let why_comments = text.lines().take(lines).filter(is_comment).count();
    SourceFile {
        path,
        module,
        is_test: false,
        code,
        lines,
        test_lines,
        why_comments,
        takes,
        types,
        public_items,
        functions,
    }
}

/// Files of modules that are declared under `cfg(test)`: by name, because all of them are called so.
fn mark_tests(files: &mut [SourceFile]) {
    for file in files {
        let is_test = |part: &String| {
            ["tests", "testing", "fuzz", "samples", "scripted", "simulation"]
                .contains(&part.as_str())
        };
        if file.module.iter().any(is_test) {
            file.is_test = true;
            file.test_lines += std::mem::take(&mut file.lines);
        }
    }
}

struct Reader<'a> {
    name: &'a str,
    module: &'a [String],
    takes: BTreeSet<Vec<String>>,
    types: Vec<String>,
    public_items: usize,
    functions: Vec<(String, usize)>,
    test_lines: usize,
}

impl<'a> Reader<'a> {
    fn new(name: &'a str, module: &'a [String]) -> Self {
        Self {
            name,
            module,
            takes: BTreeSet::new(),
            types: Vec::new(),
            public_items: 0,
            functions: Vec::new(),
            test_lines: 0,
        }
    }

    /// Takes a path in, wherever it begins.
    fn on_path(&mut self, path: Vec<String>) {
        let Some(first) = path.first() else { return };
        let whole = match first.as_str() {
            "crate" => path[1..].to_vec(),
            own if own == self.name => path[1..].to_vec(),
            "self" => [self.module, &path[1..]].concat(),
            "super" => {
                let up = path.iter().take_while(|part| *part == "super").count();
                let Some(kept) = self.module.len().checked_sub(up) else { return };
                [&self.module[..kept], &path[up..]].concat()
            }
            _ => return,
        };
        self.takes.insert(whole);
    }

    fn on_tree(&mut self, prefix: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.on_tree(&with(&path.ident), &path.tree),
            UseTree::Name(name) => self.on_path(with(&name.ident)),
            UseTree::Rename(name) => self.on_path(with(&name.ident)),
            UseTree::Glob(_) => self.on_path(prefix.to_vec()),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.on_tree(prefix, tree));
            }
        }
    }

    fn on_function(&mut self, name: &syn::Ident, span: proc_macro2::Span) {
        let lines = span.end().line + 1 - span.start().line;
        self.functions.push((name.to_string(), lines));
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |one: &Attribute| {
        one.path().is_ident("cfg")
            && one.parse_args::<syn::Ident>().is_ok_and(|argument| argument == "test")
    };
    attributes.iter().any(is_test)
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let (named, visibility) = match item {
            Item::Struct(item) => (Some(&item.ident), Some(&item.vis)),
            Item::Enum(item) => (Some(&item.ident), Some(&item.vis)),
            Item::Trait(item) => (Some(&item.ident), Some(&item.vis)),
            Item::Type(item) => (Some(&item.ident), Some(&item.vis)),
            Item::Fn(item) => (None, Some(&item.vis)),
            Item::Const(item) => (None, Some(&item.vis)),
            Item::Static(item) => (None, Some(&item.vis)),
            Item::Mod(item) => (None, Some(&item.vis)),
            _ => (None, None),
        };
        let is_public = matches!(visibility, Some(Visibility::Public(_)));
        let in_tests = matches!(item, Item::Mod(item) if is_for_tests(&item.attrs));
        if !in_tests {
            self.types.extend(named.map(ToString::to_string));
            self.public_items += usize::from(is_public);
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if is_for_tests(&item.attrs) {
            let span = item.span();
            self.test_lines += span.end().line + 1 - span.start().line;
        } else {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.on_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.on_path(path.segments.iter().map(|part| part.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.on_function(&item.sig.ident, item.span());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.on_function(&item.sig.ident, item.span());
        self.public_items += usize::from(matches!(item.vis, Visibility::Public(_)));
        visit::visit_impl_item_fn(self, item);
    }
}
