//! Sweeps: the product of all lists, times the cases, times the seeds.

use std::collections::BTreeMap;

use serde_json::json;
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::Experiment;
use super::names::did_you_mean;
use super::raw::{flatten, insert};
use crate::{Error, Result};

/// Cells of one run.
const MOST_CELLS: u64 = 100_000;
/// Tables whose keys can be swept: those that make a cell what it is.
pub(super) const SWEPT: [&str; 4] = ["data", "model", "loop", "score"];

/// What `[sweep]` says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sweep {
    /// Dotted key -> values; the product of all is run.
    lists: Vec<(String, Vec<Value>)>,
    /// Combinations that are not a product.
    cases: Vec<Vec<(String, Value)>>,
    /// Seeds, if they are swept.
    seeds: Option<Seeds>,
}

#[derive(Debug, Clone, PartialEq)]
enum Seeds {
    /// So many, from the experiment's own on.
    Count(u64),
    These(Vec<u64>),
}

/// A resolved experiment with all its cells.
#[derive(Debug, Clone)]
pub struct Swept {
    /// The experiment without its sweep.
    pub base: Experiment,
    /// The sweep.
    pub sweep: Sweep,
    /// Its cells, in the order of the sweep.
    pub cells: Vec<CellConfig>,
}

/// One cell: one configuration and one seed.
#[derive(Debug, Clone)]
pub struct CellConfig {
    /// Name of its directory: readable, then 8 hexadecimal digits of its identity.
    pub name: String,
    /// Its values of the swept keys.
    pub params: BTreeMap<String, serde_json::Value>,
    /// Its seed.
    pub seed: u64,
    /// All of its configuration.
    pub config: Experiment,
}

impl Sweep {
    pub(crate) fn parse(table: &Table, place: &str) -> Result<Self> {
        let mut sweep = Self::default();
        let place = format!("{place}, [sweep]");
        for (key, value) in table {
            match (key.as_str(), value) {
                ("case", Value::Array(cases)) => {
                    for case in cases {
                        let Value::Table(case) = case else {
                            return Err(Error::config(&place, format!("case is {case}; write [[sweep.case]] tables")));
                        };
                        let case = flatten(case);
                        case.iter().try_for_each(|(key, _)| check_swept(key, &place))?;
                        sweep.cases.push(case);
                    }
                }
                (_, Value::Table(inner)) => {
                    for (rest, value) in flatten(inner) {
                        sweep.set(&format!("{key}.{rest}"), &value, &place)?;
                    }
                }
                (key, value) => sweep.set(key, value, &place)?,
            }
        }
        Ok(sweep)
    }

    /// Sets one list of the sweep.
    pub(crate) fn set(&mut self, key: &str, value: &Value, place: &str) -> Result<()> {
        let whole = |value: &Value| value.as_integer().and_then(|seed| u64::try_from(seed).ok());
        match (key, value) {
            ("seeds", Value::Array(list)) if !list.is_empty() => {
                let seeds: Option<Vec<u64>> = list.iter().map(whole).collect();
                let seeds = seeds
                    .ok_or_else(|| Error::config(place, format!("seeds is {value}; seeds are whole numbers from 0")))?;
                self.seeds = Some(Seeds::These(seeds));
            }
            ("seeds", value) => match whole(value) {
                Some(count @ 1..) => self.seeds = Some(Seeds::Count(count)),
                _ => {
                    return Err(Error::config(
                        place,
                        format!("seeds is {value}; ask for at least 1 seed, or list them"),
                    ));
                }
            },
            (key, Value::Array(values)) if !values.is_empty() => {
                check_swept(key, place)?;
                self.lists.retain(|(known, _)| known != key);
                self.lists.push((key.to_owned(), values.clone()));
            }
            (key, value) => {
                return Err(Error::config(
                    place,
                    format!("{key} is {value}; a swept key takes a list such as [1.0, 0.8]"),
                ));
            }
        }
        Ok(())
    }

    /// A key that was set by hand is swept no longer.
    pub(crate) fn fix(&mut self, key: &str) {
        self.lists.retain(|(known, _)| known != key);
        self.cases.iter_mut().for_each(|case| case.retain(|(known, _)| known != key));
        let mut distinct: Vec<Vec<(String, Value)>> = Vec::new();
        for case in self.cases.drain(..) {
            if !case.is_empty() && !distinct.contains(&case) {
                distinct.push(case);
            }
        }
        self.cases = distinct;
    }

    /// All swept keys, cases included.
    pub fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = self.lists.iter().map(|(key, _)| key.as_str()).collect();
        for (key, _) in self.cases.iter().flatten() {
            if !keys.contains(&key.as_str()) {
                keys.push(key);
            }
        }
        keys
    }

    /// As it stands in a resolved file; `None` when nothing is swept.
    pub fn to_toml(&self) -> Option<Table> {
        let mut table = Table::new();
        for (key, values) in &self.lists {
            table.insert(key.clone(), Value::Array(values.clone()));
        }
        match &self.seeds {
            Some(Seeds::Count(count)) => {
                table.insert("seeds".into(), Value::Integer(*count as i64));
            }
            Some(Seeds::These(seeds)) => {
                table.insert(
                    "seeds".into(),
                    Value::Array(seeds.iter().map(|seed| Value::Integer(*seed as i64)).collect()),
                );
            }
            None => {}
        }
        if !self.cases.is_empty() {
            let cases = self.cases.iter().map(|case| Value::Table(case.iter().cloned().collect()));
            table.insert("case".into(), Value::Array(cases.collect()));
        }
        (!table.is_empty()).then_some(table)
    }

    /// All cells; `build` makes an experiment of a table.
    pub(crate) fn cells(
        &self,
        table: &Table,
        seed: u64,
        build: impl Fn(&Table, &str) -> Result<Experiment>,
    ) -> Result<Vec<CellConfig>> {
        self.check_size(seed)?;
        let mut combinations: Vec<Vec<(String, Value)>> = vec![Vec::new()];
        let cases = if self.cases.is_empty() { vec![Vec::new()] } else { self.cases.clone() };
        combinations = extend(&combinations, &cases);
        for (key, values) in &self.lists {
            let choices: Vec<_> = values.iter().map(|value| vec![(key.clone(), value.clone())]).collect();
            combinations = extend(&combinations, &choices);
        }
        let seeds = match &self.seeds {
            None => vec![seed],
            Some(Seeds::Count(count)) => (seed..seed + count).collect(),
            Some(Seeds::These(seeds)) => seeds.clone(),
        };
        let mut cells = Vec::new();
        for combination in &combinations {
            let mut table = table.clone();
            for (key, value) in combination {
                insert(&mut table, key, value.clone()).map_err(|why| Error::config(format!("sweep.\"{key}\""), why))?;
            }
            let place = match combination.last() {
                None => "the experiment".to_owned(),
                Some(_) => {
                    let values: Vec<String> =
                        combination.iter().map(|(key, value)| format!("{key} = {value}")).collect();
                    format!("the cell with {}", values.join(", "))
                }
            };
            let config = build(&table, &place)?;
            for &seed in &seeds {
                cells.push(CellConfig::new(Experiment { seed, ..config.clone() }, combination));
            }
        }
        check_distinct(&cells)?;
        Ok(cells)
    }

    /// That the cells can be counted, and no key is swept twice.
    fn check_size(&self, seed: u64) -> Result<()> {
        let seeds = match &self.seeds {
            None => 1,
            Some(Seeds::Count(count)) => *count,
            Some(Seeds::These(seeds)) => seeds.len() as u64,
        };
        let factors = self.lists.iter().map(|(_, values)| values.len() as u64).chain([self.cases.len().max(1) as u64]);
        let cells = factors.fold(seeds, u64::saturating_mul);
        if cells > MOST_CELLS {
            let why =
                format!("it asks for {cells} cells, more than the {MOST_CELLS} of a run; shorten its lists or seeds");
            return Err(Error::config("[sweep]", why));
        }
        let last = seed.checked_add(seeds - 1).and_then(|last| i64::try_from(last).ok());
        if matches!(self.seeds, Some(Seeds::Count(_))) && last.is_none() {
            let why = format!("{seeds} seeds from seed {seed} on do not fit; the last may be {} at most", i64::MAX);
            return Err(Error::config("seed", why));
        }
        let listed = |key: &str| self.lists.iter().any(|(known, _)| known == key);
        match self.cases.iter().flatten().find(|(key, _)| listed(key)) {
            None => Ok(()),
            Some((key, _)) => {
                let why = format!("{key} has both a list and a value in [[sweep.case]]; leave one of them out");
                Err(Error::config("[sweep]", why))
            }
        }
    }
}

/// That a key makes a difference between cells.
fn check_swept(key: &str, place: &str) -> Result<()> {
    match key.split('.').next() {
        Some(table) if SWEPT.contains(&table) => Ok(()),
        Some("seed") => Err(Error::config(
            place,
            "seed is not swept by its own name; write seeds = 3, or list them: seeds = [0, 7]",
        )),
        first => {
            let hint = first.map_or_else(String::new, |name| did_you_mean(name, SWEPT.into_iter().chain(["seeds"])));
            let why =
                format!("{key} cannot be swept{hint}; keys of [data], [model], [loop] and [score] can, and seeds");
            Err(Error::config(place, why))
        }
    }
}

/// The cells of a swept experiment must differ in what they run, and in name.
fn check_distinct(cells: &[CellConfig]) -> Result<()> {
    let mut seen = BTreeMap::new();
    for cell in cells {
        if let Some(first) = seen.insert(identity(&cell.config), &cell.params) {
            let words = |params: &BTreeMap<String, serde_json::Value>| {
                let all = params
                    .iter()
                    .map(|(key, value)| format!("{key} = {value}"))
                    .chain([format!("seed = {}", cell.seed)]);
                all.collect::<Vec<_>>().join(", ")
            };
            let (first, again) = (words(first), words(&cell.params));
            let same = if first == again { String::new() } else { format!(" (as {again} too)") };
            let why = format!("the cell with {first} is asked for twice{same}; remove the repeated value");
            return Err(Error::config("[sweep]", why));
        }
    }
    Ok(())
}

/// Every one of `all` with every one of `choices`.
fn extend(all: &[Vec<(String, Value)>], choices: &[Vec<(String, Value)>]) -> Vec<Vec<(String, Value)>> {
    all.iter().flat_map(|one| choices.iter().map(move |choice| [one.as_slice(), choice].concat())).collect()
}

impl CellConfig {
    fn new(config: Experiment, combination: &[(String, Value)]) -> Self {
        let params: BTreeMap<String, serde_json::Value> =
            combination.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        let mut readable = vec![config.plan.kind.name().to_owned()];
        for (key, value) in combination.iter().filter(|(key, _)| key != "loop.kind") {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            readable.push(format!("{}{value}", key.rsplit('.').next().unwrap_or(key)));
        }
        readable.push(format!("seed{}", config.seed));
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' };
        let readable: String = readable.join("-").chars().map(safe).take(100).collect();
        let name = format!("{readable}-{}", &identity(&config)[..8]);
        Self { name, params, seed: config.seed, config }
    }

    /// Cells with the same key train the same model of generation 1.
    pub fn first_generation_key(&self) -> Result<String> {
        let plan = self.config.plan.resolve()?;
        Ok(hash(&json!({
            "data": self.config.data, "model": self.config.model, "seed": self.seed, "n_initial": plan.n_initial,
        })))
    }
}

/// What makes a cell the cell that it is: data, model, loop, theory, score, seed and scale.
fn identity(config: &Experiment) -> String {
    let mut all = json!({
        "data": config.data, "model": config.model, "loop": config.plan, "score": config.score, "seed": config.seed,
        "scale": config.scale,
    });
    if let Some(theory) = &config.theory {
        all["theory"] = json!(theory);
    }
    hash(&all)
}

fn hash(value: &serde_json::Value) -> String {
    Sha256::digest(value.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}
