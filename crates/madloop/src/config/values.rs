//! What a key accepts, told from the JSON Schema in plain words.

use serde_json::Value;

use super::check::refers_to;
use super::names::did_you_mean;
use crate::{Error, Result};

/// That `value` is of a type, in a range or among the words that the schema allows at `path`.
pub(super) fn check_value(value: &toml::Value, schema: &Value, root: &Value, place: &str, path: &str) -> Result<()> {
    if accepts(value, schema, root) {
        return Ok(());
    }
    let mut kinds = Vec::new();
    collect(schema, root, &mut kinds);
    let words = kinds.iter().filter_map(|kind| match kind {
        Kind::Word(word) => Some(word.as_str()),
        Kind::Other(_) => None,
    });
    let hint = value.as_str().map_or_else(String::new, |word| did_you_mean(word, words));
    let allowed: Vec<String> = kinds
        .iter()
        .map(|kind| match kind {
            Kind::Word(word) if kinds.iter().all(|kind| matches!(kind, Kind::Word(_))) => word.clone(),
            Kind::Word(word) => format!("\"{word}\""),
            Kind::Other(kind) => kind.clone(),
        })
        .collect();
    let allowed = match (kinds.as_slice(), allowed.split_last()) {
        (kinds, _) if kinds.iter().all(|kind| matches!(kind, Kind::Word(_))) => allowed.join(", "),
        (_, Some((last, rest))) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => allowed.join(", "),
    };
    Err(Error::config(place, format!("{path} is {value}{hint}; it must be {allowed}")))
}

enum Kind {
    Word(String),
    Other(String),
}

fn accepts(value: &toml::Value, schema: &Value, root: &Value) -> bool {
    if let Some(target) = refers_to(schema, root) {
        return accepts(value, target, root);
    }
    if let Some(one) = schema.get("const").and_then(Value::as_str) {
        return value.as_str() == Some(one);
    }
    if let Some(list) = schema.get("enum").and_then(Value::as_array) {
        return value.as_str().is_some_and(|word| list.iter().any(|known| known == word));
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(branches) = schema.get(key).and_then(Value::as_array) {
            return branches.iter().any(|branch| accepts(value, branch, root));
        }
    }
    let types = types(schema);
    types.is_empty() || types.iter().any(|kind| is_of(value, kind, schema, root))
}

fn is_of(value: &toml::Value, kind: &str, schema: &Value, root: &Value) -> bool {
    let within = |number: i64| {
        let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
        let most = bound("maximum").or(most_of(schema)).unwrap_or(i64::MAX);
        (bound("minimum").unwrap_or(i64::MIN)..=most).contains(&number)
    };
    match (kind, value) {
        ("integer", toml::Value::Integer(number)) => within(*number),
        ("number", toml::Value::Integer(_) | toml::Value::Float(_)) => true,
        ("boolean", toml::Value::Boolean(_)) | ("string", toml::Value::String(_)) => true,
        ("object", toml::Value::Table(_)) => true,
        ("array", toml::Value::Array(items)) => {
            let size = |key: &str| schema.get(key).and_then(Value::as_u64);
            let length = items.len() as u64;
            size("minItems").is_none_or(|least| length >= least)
                && size("maxItems").is_none_or(|most| length <= most)
                && schema.get("items").is_none_or(|item| items.iter().all(|value| accepts(value, item, root)))
        }
        _ => false,
    }
}

/// The largest number of the schema's integer format, where that is less than TOML's.
fn most_of(schema: &Value) -> Option<i64> {
    (schema.get("format").and_then(Value::as_str) == Some("uint32")).then_some(i64::from(u32::MAX))
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// All that the schema allows, in words.
fn collect(schema: &Value, root: &Value, kinds: &mut Vec<Kind>) {
    if let Some(target) = refers_to(schema, root) {
        return collect(target, root, kinds);
    }
    if let Some(word) = schema.get("const").and_then(Value::as_str) {
        return kinds.push(Kind::Word(word.to_owned()));
    }
    if let Some(list) = schema.get("enum").and_then(Value::as_array) {
        return kinds.extend(list.iter().filter_map(Value::as_str).map(|word| Kind::Word(word.to_owned())));
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(branches) = schema.get(key).and_then(Value::as_array) {
            return branches.iter().for_each(|branch| collect(branch, root, kinds));
        }
    }
    for kind in types(schema) {
        kinds.push(Kind::Other(match kind {
            "integer" => {
                let least = schema.get("minimum").and_then(Value::as_i64).unwrap_or(i64::MIN);
                format!("a whole number from {least} to {}", most_of(schema).unwrap_or(i64::MAX))
            }
            "number" => "a number".into(),
            "boolean" => "true or false".into(),
            "string" => "a text in quotes".into(),
            "object" => "a table of keys".into(),
            "array" => {
                let mut items = Vec::new();
                if let Some(item) = schema.get("items") {
                    collect(item, root, &mut items);
                }
                let of = items.first().map_or_else(String::new, |kind| match kind {
                    Kind::Word(word) => format!(" such as \"{word}\""),
                    Kind::Other(kind) => format!(", each {kind}"),
                });
                format!("a list{of}")
            }
            _ => continue,
        }));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_allowed_is_told_in_words() {
        let root = json!({"$defs": {"All": {"enum": ["all"]}}});
        let count = json!({"type": ["integer", "null"], "minimum": 0, "format": "uint32"});
        let history = json!({"anyOf": [count, {"$ref": "#/$defs/All"}]});
        let list = json!({"type": "array", "items": {"type": "string"}});
        let cases = [
            (&count, "-1", Some("k is -1; it must be a whole number from 0 to 4294967295")),
            (&count, "4294967296", Some("k is 4294967296; it must be")),
            (&count, "1.5", Some("k is 1.5; it must be a whole number")),
            (&count, "7", None),
            (&history, "\"al\"", Some("k is \"al\" (did you mean \"all\"?); it must be a whole number from 0 to")),
            (&history, "\"all\"", None),
            (&history, "3", None),
            (&list, "\"kid\"", Some("k is \"kid\"; it must be a list, each a text in quotes")),
            (&list, "[\"kid\", 3]", Some("it must be a list")),
            (&list, "[\"kid\"]", None),
        ];
        for (schema, value, expected) in cases {
            let table: toml::Table = format!("v = {value}").parse().expect("TOML");
            let found = check_value(&table["v"], schema, &root, "here", "k").map_err(|error| error.to_string());
            match expected {
                None => assert!(found.is_ok(), "{value}"),
                Some(text) => assert!(found.as_ref().is_err_and(|error| error.contains(text)), "{found:?}"),
            }
        }
    }
}
