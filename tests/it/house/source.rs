//! What the source must keep to: imports point one way, SQL stays in its places, every statement prepares.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use syn::{Expr, ExprCall, ExprLit, ExprMethodCall, Lit, visit::Visit};

/// What each part of the house may use. `app` is where the parts are put together, so that rooms may name it and it may name them.
const MAY_USE: &[(&str, &[&str])] = &[
    ("clock", &["db"]),
    ("error", &[]),
    ("priority", &[]),
    ("db", &["error"]),
    ("crypto", &["error", "priority"]),
    ("config", &["http"]),
    ("http", &["config", "error"]),
    ("logging", &["config", "error"]),
    ("blobs", &["config", "crypto", "error"]),
    ("audit", &["db", "error", "http"]),
    ("mail", &["app", "config", "db", "error", "jobs"]),
    ("outbound", &["config", "http"]),
    ("jobs", &["app", "clock", "crypto", "db", "error"]),
    (
        "app",
        &["audit", "auth", "blobs", "clock", "config", "crypto", "db", "error", "http", "jobs", "mail", "outbound", "records", "storage", "tenants"],
    ),
    ("tenants", &["app", "audit", "clock", "config", "crypto", "db", "error", "http", "jobs", "mail"]),
    ("auth", &["app", "audit", "clock", "config", "crypto", "db", "error", "http", "jobs", "mail", "outbound", "tenants"]),
    ("records", &["app", "auth", "clock", "config", "crypto", "db", "error", "http", "jobs", "tenants"]),
    ("storage", &["app", "auth", "blobs", "clock", "config", "crypto", "db", "error", "http", "jobs", "priority", "tenants"]),
    ("router", &["app", "auth", "health", "http", "records", "storage", "tenants"]),
    ("health", &["app", "db", "error", "http"]),
    ("server", &["app", "auth", "clock", "config", "error", "http", "jobs", "mail", "records", "router", "storage", "tenants"]),
    ("cli", &["app", "auth", "clock", "config", "db", "error", "health", "http", "logging", "records", "router", "server", "storage", "tenants"]),
    ("main", &["cli"]),
    (
        "lib",
        &[
            "app", "audit", "auth", "blobs", "cli", "clock", "config", "crypto", "db", "error", "http", "jobs", "logging", "mail", "outbound",
            "records", "router", "server", "storage", "tenants",
        ],
    ),
];

/// Files that may hold SQL.
fn may_hold_sql(path: &str) -> bool {
    path.ends_with("/sql.rs")
        || path.contains("/sql/")
        || path.starts_with("src/db/")
        || path == "src/jobs/queue.rs"
        || path.starts_with("src/records/render/")
}

#[test]
fn imports_point_one_way() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let part = part_of(&path);
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == part) else {
            wrong.push(format!("{path}: {part} has no place in the house"));
            continue;
        };
        for used in uses(&text) {
            if used != part && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{path}: {part} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_room_names_no_statements_of_another() {
    for (path, text) in sources() {
        let part = part_of(&path);
        for other in ["tenants", "auth", "records", "storage"] {
            assert!(other == part || !text.contains(&format!("{other}::sql")), "{path} reaches into {other}'s SQL");
        }
    }
}

#[test]
fn sql_is_written_only_where_it_may_be() {
    let mut wrong = Vec::new();
    for (path, _) in sources() {
        if !may_hold_sql(&path) {
            let literals = literals_of(&path);
            wrong.extend(literals.into_iter().filter(|text| looks_like_sql(text)).map(|text| format!("{path}: {text}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn looks_like_sql(text: &str) -> bool {
    let starts = ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "WITH ", "CREATE ", "PRAGMA "];
    starts.iter().any(|start| text.starts_with(start))
        && (text.contains(" FROM ") || text.contains(" SET ") || text.contains(" INTO ") || text.contains("TABLE"))
}

#[test]
fn axum_is_named_only_where_http_is() {
    for (path, text) in sources() {
        let ground = ["src/db/", "src/crypto/", "src/blobs/", "src/error.rs", "src/clock.rs", "src/jobs/", "src/mail/"];
        let is_sql = path.ends_with("/sql.rs");
        assert!(!(is_sql || ground.iter().any(|part| path.starts_with(part))) || !text.contains("axum::"), "{path} names axum");
    }
}

#[test]
fn only_one_client_calls_out() {
    for (path, text) in sources() {
        assert!(path.starts_with("src/outbound/") || !text.contains("reqwest"), "{path} calls out by itself; take app.outbound");
    }
}

/// Routes of sign-in that strangers can ask for and that are not counted, and why.
const UNCOUNTED: &[(&str, &str)] = &[
    ("/auth/v1/health", "it does nothing"),
    ("/auth/v1/settings", "it does nothing, and each client reads it when it starts"),
    ("/auth/v1/.well-known/jwks.json", "it does nothing, and whoever checks tokens reads it"),
    ("/auth/v1/.well-known/openid-configuration", "it does nothing, and whoever checks tokens reads it"),
    ("/auth/v1/logout", "it ends what let it in, and must not fail"),
];

#[test]
fn what_strangers_can_have_done_is_counted() {
    let mut handlers = 0;
    let mut wrong = Vec::new();
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with("src/auth/")) {
        for handler in text.split("#[utoipa::path(").skip(1) {
            let handler = handler.split("\n}\n").next().unwrap();
            let route = handler.split("path = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
            let is_admins = ["UserReader", "UserWriter", "AuditReader"].iter().any(|who| handler.contains(who));
            // What users read, and what they let go of.
            let is_own = handler.contains("CurrentUser")
                && (handler.starts_with("get,") && !handler.contains(".write(") && !handler.contains("prepare(") || handler.starts_with("delete,"));
            // Or it is handed on to who counts it.
            let is_counted = handler.contains("limits::count(") || handler.contains("answer(&app, &peer");
            handlers += 1;
            if !is_admins && !is_own && !is_counted && !UNCOUNTED.iter().any(|(uncounted, _)| *uncounted == route) {
                wrong.push(format!("{path}: {route} is for strangers, and nobody counts how often; call limits::count"));
            }
        }
    }
    assert!(handlers > 40, "the handlers are no longer found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every statement that a `.query(…)` names, for the engine that the tests run on.
pub(super) fn statements(for_sqlite: bool) -> BTreeSet<String> {
    struct Found {
        for_sqlite: bool,
        texts: BTreeSet<String>,
    }

    impl Found {
        fn take(&mut self, argument: &Expr) {
            match argument {
                Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
                    self.texts.insert(text.value());
                }
                Expr::MethodCall(call) if call.method == "pick" => {
                    let index = usize::from(!self.for_sqlite);
                    self.take(&call.args[index]);
                }
                _ => {}
            }
        }
    }

    impl<'ast> Visit<'ast> for Found {
        fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
            if call.method == "query" && call.args.len() == 1 {
                self.take(&call.args[0]);
            }
            // Picked ahead of its query. What is no whole statement is a part of one that is built.
            if call.method == "pick" && call.args.len() == 2 {
                let picked = &call.args[usize::from(!self.for_sqlite)];
                if matches!(picked, Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if is_statement(&text.value())) {
                    self.take(picked);
                }
            }
            syn::visit::visit_expr_method_call(self, call);
        }
    }

    let mut found = Found { for_sqlite, texts: BTreeSet::new() };
    for (path, text) in sources() {
        if may_hold_sql(&path) && !path.starts_with("src/db/") {
            found.visit_file(&syn::parse_file(&text).unwrap());
        }
    }
    found.texts
}

fn is_statement(text: &str) -> bool {
    ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "].iter().any(|verb| text.starts_with(verb))
}

fn literals_of(path: &str) -> Vec<String> {
    struct Literals(Vec<String>);

    impl<'ast> Visit<'ast> for Literals {
        fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
            self.0.push(literal.value());
        }

        // Documentation is literals too.
        fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

        fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
            if module.ident != "tests" {
                syn::visit::visit_item_mod(self, module);
            }
        }

        fn visit_expr_call(&mut self, call: &'ast ExprCall) {
            syn::visit::visit_expr_call(self, call);
        }
    }

    let text = fs::read_to_string(root().join(path)).unwrap();
    let mut literals = Literals(Vec::new());
    literals.visit_file(&syn::parse_file(&text).unwrap());
    literals.0
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file, by its path below the project's root.
fn sources() -> Vec<(String, String)> {
    fn walk(directory: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("src"), &mut found);
    found
}

fn part_of(path: &str) -> String {
    let inside = path.trim_start_matches("src/");
    inside.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
}

/// The parts that a file names as `crate::part`, also inside `use crate::{…}`.
fn uses(text: &str) -> BTreeSet<String> {
    struct Uses(BTreeSet<String>);

    impl Uses {
        fn tree(&mut self, tree: &syn::UseTree) {
            match tree {
                syn::UseTree::Path(path) => drop(self.0.insert(path.ident.to_string())),
                syn::UseTree::Name(name) => drop(self.0.insert(name.ident.to_string())),
                syn::UseTree::Rename(name) => drop(self.0.insert(name.ident.to_string())),
                syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(item)),
                syn::UseTree::Glob(_) => {}
            }
        }
    }

    impl<'ast> Visit<'ast> for Uses {
        fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
            if let syn::UseTree::Path(path) = &item.tree
                && path.ident == "crate"
            {
                self.tree(&path.tree);
            }
        }

        fn visit_path(&mut self, path: &'ast syn::Path) {
            if path.segments.len() > 1 && path.segments[0].ident == "crate" {
                self.0.insert(path.segments[1].ident.to_string());
            }
            syn::visit::visit_path(self, path);
        }
    }

    let mut uses = Uses(BTreeSet::new());
    uses.visit_file(&syn::parse_file(text).unwrap());
    // Macros live at the root of the crate.
    uses.0.remove("row_type");
    uses.0
}
