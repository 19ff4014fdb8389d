//! What a crate offers: one line for each public item, read from its sources.
//!
//! Items that are `pub` and not reachable are an error of the compiler here (`unreachable_pub`), so every `pub` item is one that
//! others can use. A line is the item's signature without its body and its documentation; what is only for tests or hidden
//! is left out. Where an item stands inside the crate makes no difference. Structs of `settings!` are read as the macro reads them. Left out: what other macros make, and through which path
//! an item is reached but for the `pub use` lines of the crate's root.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use syn::parse::ParseStream;
use syn::{
    Attribute, Expr, Fields, Ident, ImplItem, Item, ItemImpl, Token, TraitItem, Type, Visibility, braced,
};

/// Every public item of the crate in this folder, sorted.
pub(super) fn listing(folder: &Path) -> anyhow::Result<String> {
    let mut lines = BTreeSet::new();
    let root = folder.join("src");
    read_folder(&root, &root.join("lib.rs"), &mut lines)?;
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}

/// What is gone and what is new.
pub(super) fn differences(known: &str, listing: &str) -> Vec<String> {
    let (known, listing): (BTreeSet<&str>, BTreeSet<&str>) =
        (known.lines().collect(), listing.lines().collect());
    let gone = known.difference(&listing).map(|line| format!("gone, which breaks programs: {line}"));
    gone.chain(listing.difference(&known).map(|line| format!("new: {line}"))).collect()
}

fn read_folder(folder: &Path, root: &Path, lines: &mut BTreeSet<String>) -> anyhow::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .with_context(|| format!("{} cannot be read", folder.display()))?
        .collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "tests") {
            read_folder(&path, root, lines)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path)?;
            let file = syn::parse_file(&text).with_context(|| format!("{} is not Rust", path.display()))?;
            add_items(&file.items, path == root, lines);
        }
    }
    Ok(())
}

fn add_items(items: &[Item], is_root: bool, lines: &mut BTreeSet<String>) {
    for item in items {
        add_item(item, is_root, lines);
    }
}

fn add_item(item: &Item, is_root: bool, lines: &mut BTreeSet<String>) {
    let mut add = |attributes: &[Attribute], line: String| {
        if !is_hidden(attributes) {
            lines.insert(line.trim_end().to_owned());
        }
    };
    match item {
        Item::Fn(item) if is_public(&item.vis) => add(&item.attrs, text(&item.sig)),
        Item::Const(item) if is_public(&item.vis) => {
            add(&item.attrs, format!("const {}: {}", item.ident, text(&item.ty)));
        }
        Item::Static(item) if is_public(&item.vis) => {
            add(&item.attrs, format!("static {}: {}", item.ident, text(&item.ty)));
        }
        Item::Type(item) if is_public(&item.vis) => {
            add(&item.attrs, format!("type {}{} = {}", item.ident, text(&item.generics), text(&item.ty)));
        }
        Item::Struct(item) if is_public(&item.vis) => {
            let name = format!("struct {}{}", item.ident, text(&item.generics));
            for line in fields(&name, &item.fields) {
                add(&item.attrs, line);
            }
            add(&item.attrs, name);
        }
        Item::Enum(item) if is_public(&item.vis) => {
            for variant in &item.variants {
                add(
                    &item.attrs,
                    format!("enum {} variant {}{}", item.ident, variant.ident, text(&variant.fields)),
                );
            }
            add(&item.attrs, format!("enum {}{}", item.ident, text(&item.generics)));
        }
        Item::Trait(item) if is_public(&item.vis) => {
            let name = format!("trait {}{}", item.ident, text(&item.generics));
            for member in &item.items {
                if let Some(member) = trait_member(member) {
                    add(&item.attrs, format!("{name} {member}"));
                }
            }
            add(&item.attrs, format!("{name}: {}", text(&item.supertraits)));
        }
        Item::Impl(item) => add_impl(item, lines),
        Item::Macro(item) if item.mac.path.is_ident("settings") => {
            // What the macro does not take does not compile.
            lines.extend(item.mac.parse_body_with(settings).unwrap_or_default());
        }
        Item::Use(item) if is_root && is_public(&item.vis) => add(&item.attrs, text(&item.tree)),
        Item::Mod(item) if !is_hidden(&item.attrs) => {
            if let Some((_, items)) = &item.content {
                add_items(items, is_root, lines);
            }
        }
        _ => {}
    }
}

/// `pub struct Name { pub field: Type = default, }`, any number of them.
fn settings(input: ParseStream<'_>) -> syn::Result<Vec<String>> {
    let mut lines = Vec::new();
    while !input.is_empty() {
        Attribute::parse_outer(input)?;
        let is_struct_public = is_public(&input.parse()?);
        input.parse::<Token![struct]>()?;
        let name: Ident = input.parse()?;
        let fields;
        braced!(fields in input);
        while !fields.is_empty() {
            Attribute::parse_outer(&fields)?;
            let is_field_public = is_public(&fields.parse()?);
            let field: Ident = fields.parse()?;
            fields.parse::<Token![:]>()?;
            let kind: Type = fields.parse()?;
            fields.parse::<Token![=]>()?;
            let default: Expr = fields.parse()?;
            if is_struct_public && is_field_public {
                lines.push(format!("struct {name} field {field}: {} = {}", text(&kind), text(&default)));
            }
            if !fields.is_empty() {
                fields.parse::<Token![,]>()?;
            }
        }
        if is_struct_public {
            lines.push(format!("struct {name}"));
        }
    }
    Ok(lines)
}

/// Methods of the type's own; those of traits are the trait's.
fn add_impl(item: &ItemImpl, lines: &mut BTreeSet<String>) {
    let owner = text(&item.self_ty);
    if item.trait_.is_some() || is_hidden(&item.attrs) {
        return;
    }
    for member in &item.items {
        let line = match member {
            ImplItem::Fn(member) if is_public(&member.vis) && !is_hidden(&member.attrs) => text(&member.sig),
            ImplItem::Const(member) if is_public(&member.vis) && !is_hidden(&member.attrs) => {
                format!("const {}: {}", member.ident, text(&member.ty))
            }
            _ => continue,
        };
        lines.insert(format!("impl {owner}: {line}"));
    }
}

fn fields(owner: &str, fields: &Fields) -> Vec<String> {
    let public =
        fields.iter().enumerate().filter(|(_, field)| is_public(&field.vis) && !is_hidden(&field.attrs));
    let named = public.map(|(place, field)| {
        let name = field.ident.as_ref().map_or_else(|| place.to_string(), ToString::to_string);
        format!("{owner} field {name}: {}", text(&field.ty))
    });
    named.collect()
}

fn trait_member(member: &TraitItem) -> Option<String> {
    match member {
        TraitItem::Fn(member) if !is_hidden(&member.attrs) => {
            let given = if member.default.is_some() { " (given)" } else { "" };
            Some(text(&member.sig) + given)
        }
        TraitItem::Type(member) if !is_hidden(&member.attrs) => Some(format!("type {}", member.ident)),
        TraitItem::Const(member) if !is_hidden(&member.attrs) => {
            Some(format!("const {}: {}", member.ident, text(&member.ty)))
        }
        _ => None,
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// For tests alone, or not part of the documentation.
fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let says = |word: &str| attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident(word));
        (attribute.path().is_ident("cfg") && says("test"))
            || (attribute.path().is_ident("doc") && says("hidden"))
    })
}

/// Tokens on one line, with a blank between any two.
fn text(tokens: &impl quote::ToTokens) -> String {
    let mut tokens = tokens.to_token_stream().to_string();
    for (spaced, tight) in [
        (" :: ", "::"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        (" ,", ","),
        (" :", ":"),
        ("& ", "&"),
        (" ;", ";"),
    ] {
        tokens = tokens.replace(spaced, tight);
    }
    tokens.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(source: &str) -> Vec<String> {
        let mut lines = BTreeSet::new();
        add_items(&syn::parse_file(source).unwrap().items, true, &mut lines);
        lines.into_iter().collect()
    }

    #[test]
    fn public_items_are_listed_without_bodies() {
        let source = "
            /// Words.
            pub fn place(order: &Order, times: u8) -> Result<(), Error> { todo() }
            fn private() {}
            pub struct Order { pub id: u32, secret: u32 }
            impl Order { pub const MAX: u8 = 1; pub fn id(&self) -> u32 { 1 } fn own(&self) {} }
            impl Clone for Order { fn clone(&self) -> Self { Order } }
            pub enum Kind { A, B(u8) }
            pub trait Named { fn name(&self) -> &str; fn twice(&self) -> String { String::new() } }
            #[doc(hidden)] pub fn hidden() {}
            #[cfg(test)] mod tests { pub fn of_a_test() {} }
            pub use inner::{A, B};
        ";
        assert_eq!(
            lines(source),
            [
                "enum Kind",
                "enum Kind variant A",
                "enum Kind variant B(u8)",
                "fn place(order: &Order, times: u8) -> Result<(), Error>",
                "impl Order: const MAX: u8",
                "impl Order: fn id(&self) -> u32",
                "inner::{ A, B }",
                "struct Order",
                "struct Order field id: u32",
                "trait Named fn name(&self) -> &str",
                "trait Named fn twice(&self) -> String (given)",
                "trait Named:",
            ]
        );
    }

    #[test]
    fn settings_are_listed_with_their_defaults() {
        let source = "settings! { /// Words.
            #[derive(PartialEq)]
            pub struct Waits { /// How long.
                #[serde(with = \"x\")]
                pub time: Duration = Duration::from_secs(1), } }";
        assert_eq!(
            lines(source),
            ["struct Waits", "struct Waits field time: Duration = Duration::from_secs(1)"]
        );
    }

    #[test]
    fn what_is_gone_breaks_and_what_is_new_does_not() {
        assert_eq!(
            differences("fn a()\nfn b(x: u8)\n", "fn a()\nfn b(x: u16)\n"),
            ["gone, which breaks programs: fn b(x: u8)", "new: fn b(x: u16)"]
        );
        assert_eq!(differences("fn a()\n", "fn a()\n"), [""; 0]);
    }
}
