//! Unknown keys and misspelt choices, found by walking the TOML beside the JSON Schema, so that the nearest name can be told.

use serde_json::Value;

use super::names::did_you_mean;
use super::values::check_value;
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
                format!(
                    "unknown key {path}{}; {here} knows {}{}",
                    did_you_mean(key, names()),
                    all.join(", "),
                    elsewhere(schema, root, key)
                ),
            ));
        };
        match value {
            toml::Value::Table(inner) if has_keys(schema, root) => check_table(inner, schema, root, place, &path)?,
            _ => check_value(value, schema, root, place, &path)?,
        }
    }
    Ok(())
}

/// Every key that the schema knows in the table `section`, with dots, whatever the choices made.
pub(super) fn keys_of(section: &str, root: &Value) -> Vec<String> {
    fn collect(schema: &Value, root: &Value, prefix: &str, keys: &mut Vec<String>) {
        let schema = refers_to(schema, root).unwrap_or(schema);
        for (key, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let path = format!("{prefix}.{key}");
            collect(inner, root, &path, keys);
            if !keys.contains(&path) {
                keys.push(path);
            }
        }
        for key in ["oneOf", "anyOf", "allOf"] {
            for branch in schema.get(key).and_then(Value::as_array).into_iter().flatten() {
                collect(branch, root, prefix, keys);
            }
        }
    }
    let mut keys = Vec::new();
    if let Some(schema) = root.get("properties").and_then(|properties| properties.get(section)) {
        collect(schema, root, section, &mut keys);
    }
    keys
}

/// Whether the schema is that of a table: all else is a plain value.
fn has_keys(schema: &Value, root: &Value) -> bool {
    let schema = refers_to(schema, root).unwrap_or(schema);
    let is_table = |schema: &Value| match schema.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => false,
    };
    is_table(schema) || schema.get("oneOf").and_then(Value::as_array).is_some_and(|all| all.iter().any(is_table))
}

/// Names the other choices of a tagged table that know the key, such as the families that take an option.
fn elsewhere(schema: &Value, root: &Value, key: &str) -> String {
    let schema = refers_to(schema, root).unwrap_or(schema);
    let mut takers: Vec<String> = Vec::new();
    for branch in schema.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
        let Some(properties) = branch.get("properties").and_then(Value::as_object) else { continue };
        if properties.contains_key(key) {
            let tags = properties.iter().filter_map(|(tag, schema)| Some((tag, schema.get("const")?.as_str()?)));
            takers.extend(tags.map(|(tag, name)| format!("{tag} = \"{name}\"")));
        }
    }
    match takers.is_empty() {
        true => String::new(),
        false => format!("; {key} is an option of {}", takers.join(" and ")),
    }
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

pub(super) fn refers_to<'a>(schema: &Value, root: &'a Value) -> Option<&'a Value> {
    let name = schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
    root.get("$defs")?.get(name)
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
