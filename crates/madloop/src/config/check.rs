//! Unknown keys and misspelt choices, found by walking the TOML beside the JSON Schema, so that the nearest name can be told.

use serde_json::Value;

use super::names::did_you_mean;
use crate::{Error, Result};

/// Checks every key of `table` and every choice among words against `schema`.
pub(crate) fn check_names(table: &toml::Table, schema: &Value, place: &str) -> Result<()> {
    check_table(table, schema, schema, place, "")
}

fn check_table(table: &toml::Table, schema: &Value, root: &Value, place: &str, prefix: &str) -> Result<()> {
    let schemas = branches(schema, root, table);
    let mut known: Vec<(&str, &Value)> = Vec::new();
    for schema in &schemas {
        known.extend(
            schema.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(k, v)| (k.as_str(), v)),
        );
    }
    if known.is_empty() {
        return Ok(());
    }
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let Some((_, schema)) = known.iter().find(|(name, _)| name == key) else {
            let names = || known.iter().map(|(name, _)| *name);
            let mut all: Vec<&str> = names().collect();
            all.sort_unstable();
            all.dedup();
            let here = if prefix.is_empty() { "the top level".to_owned() } else { format!("[{prefix}]") };
            return Err(Error::config(
                place,
                format!("unknown key {path}{}; {here} knows {}", did_you_mean(key, names()), all.join(", ")),
            ));
        };
        match value {
            toml::Value::Table(inner) => check_table(inner, schema, root, place, &path)?,
            toml::Value::String(word) => check_word(word, schema, root, place, &path)?,
            _ => {}
        }
    }
    Ok(())
}

/// The schema itself and those that it refers to, with the one branch of a tagged choice that fits `table`.
fn branches<'a>(schema: &'a Value, root: &'a Value, table: &toml::Table) -> Vec<&'a Value> {
    let mut all = vec![schema];
    if let Some(target) = refers_to(schema, root) {
        all.extend(branches(target, root, table));
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        for branch in schema.get(key).and_then(Value::as_array).into_iter().flatten() {
            if fits(branch, table) {
                all.extend(branches(branch, root, table));
            }
        }
    }
    all
}

/// Whether the constants that a branch demands are those of the table.
fn fits(branch: &Value, table: &toml::Table) -> bool {
    let properties = branch.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().all(|(key, schema)| match schema.get("const").and_then(Value::as_str) {
        None => true,
        Some(tag) => table.get(key).and_then(toml::Value::as_str) == Some(tag),
    })
}

fn refers_to<'a>(schema: &Value, root: &'a Value) -> Option<&'a Value> {
    let name = schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
    root.get("$defs")?.get(name)
}

/// A word where the schema allows only certain words.
fn check_word(word: &str, schema: &Value, root: &Value, place: &str, path: &str) -> Result<()> {
    let mut words = Vec::new();
    if !collect_words(schema, root, &mut words) || words.is_empty() || words.iter().any(|known| known == word) {
        return Ok(());
    }
    let why = format!(
        "{path} is \"{word}\"{}; it must be {}",
        did_you_mean(word, words.iter().map(String::as_str)),
        words.join(", ")
    );
    Err(Error::config(place, why))
}

/// Collects the words that a schema allows; false when it allows any string.
fn collect_words(schema: &Value, root: &Value, words: &mut Vec<String>) -> bool {
    if let Some(target) = refers_to(schema, root) {
        return collect_words(target, root, words);
    }
    if let Some(one) = schema.get("const") {
        words.extend(one.as_str().map(str::to_owned));
        return true;
    }
    if let Some(list) = schema.get("enum").and_then(Value::as_array) {
        words.extend(list.iter().filter_map(Value::as_str).map(str::to_owned));
        return true;
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(branches) = schema.get(key).and_then(Value::as_array) {
            return branches.iter().all(|branch| collect_words(branch, root, words));
        }
    }
    match schema.get("type") {
        Some(Value::String(kind)) => kind != "string",
        Some(Value::Array(kinds)) => !kinds.iter().any(|kind| kind == "string"),
        _ => false,
    }
}

/// Checks the tag of `[model]` and other tagged choices, whose words sit in the branches of the choice.
pub(crate) fn check_tag(table: &toml::Table, schema: &Value, section: &str, tag: &str, place: &str) -> Result<()> {
    let Some(word) = table.get(section).and_then(|section| section.get(tag)).and_then(toml::Value::as_str) else {
        return Ok(());
    };
    let Some(section_schema) = schema.get("properties").and_then(|properties| properties.get(section)) else {
        return Ok(());
    };
    let target = refers_to(section_schema, schema).unwrap_or(section_schema);
    let branches = target.get("oneOf").and_then(Value::as_array);
    let tags =
        branches.into_iter().flatten().filter_map(|branch| branch.get("properties")?.get(tag)?.get("const")?.as_str());
    let tags: Vec<&str> = tags.collect();
    if tags.is_empty() || tags.contains(&word) {
        return Ok(());
    }
    let hint = did_you_mean(word, tags.iter().copied());
    Err(Error::config(place, format!("{section}.{tag} is \"{word}\"{hint}; it must be {}", tags.join(", "))))
}
