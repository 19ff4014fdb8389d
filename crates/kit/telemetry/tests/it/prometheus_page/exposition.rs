//! A strict reader of Prometheus' text format 0.0.4: what any reader of the format may refuse, this one refuses.

use std::collections::{BTreeMap, BTreeSet};

/// Labels by name.
pub(crate) type Set = BTreeMap<String, String>;

/// A page that was read.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    pub(crate) families: Vec<Family>,
    pub(crate) remarks: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: Option<String>,
    pub(crate) kind: String,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Set,
    pub(crate) value: f64,
}

impl Exposition {
    /// The samples of one name.
    pub(crate) fn samples(&self, name: &str) -> Vec<&Sample> {
        let samples = self.families.iter().flat_map(|family| &family.samples);
        samples.filter(|sample| sample.name == name).collect()
    }
}

/// Reads a page, or says which line breaks which rule.
pub(crate) fn read(page: &str) -> Result<Exposition, String> {
    let mut exposition = Exposition::default();
    let mut names = BTreeSet::new();
    let mut series = BTreeSet::new();
    if page.contains('\0') {
        return Err("a character 0 ends the page".to_owned());
    }
    if !page.is_empty() && !page.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    for line in page.split_terminator('\n') {
        let refuse = |reason: &str| Err(format!("{reason}: {line}"));
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            if !is_metric_name(name) || !escapes_are_whole(help, "\\n") {
                return refuse("not a HELP line");
            }
            open(&mut exposition, name);
            let Some(family) = exposition.families.last_mut() else { return refuse("no family") };
            if !family.kind.is_empty() || family.help.replace(help.to_owned()).is_some() {
                return refuse("HELP comes late or twice");
            }
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else { return refuse("not a TYPE line") };
            if !is_metric_name(name) || !["counter", "gauge", "histogram"].contains(&kind) {
                return refuse("not a TYPE line");
            }
            open(&mut exposition, name);
            let Some(family) = exposition.families.last_mut() else { return refuse("no family") };
            if !family.kind.is_empty() || !family.samples.is_empty() || !names.insert(name.to_owned()) {
                return refuse("TYPE stands twice, or the family in two pieces");
            }
            kind.clone_into(&mut family.kind);
        } else if let Some(remark) = line.strip_prefix('#') {
            exposition.remarks.push(remark.trim().to_owned());
        } else {
            let sample = read_sample(line)?;
            let Some(family) = exposition.families.last_mut() else { return refuse("no family") };
            if !belongs(&sample, family) {
                return refuse("not a sample of the family before it");
            }
            if !series.insert((sample.name.clone(), sample.labels.clone())) {
                return refuse("this series stands twice");
            }
            family.samples.push(sample);
        }
    }
    exposition.families.iter().try_for_each(whole)?;
    Ok(exposition)
}

fn open(exposition: &mut Exposition, name: &str) {
    if exposition.families.last().is_none_or(|family| family.name != name) {
        exposition.families.push(Family { name: name.to_owned(), ..Family::default() });
    }
}

fn belongs(sample: &Sample, family: &Family) -> bool {
    let Some(suffix) = sample.name.strip_prefix(&family.name) else { return false };
    let has_bound = sample.labels.contains_key("le");
    match family.kind.as_str() {
        "histogram" => match suffix {
            "_bucket" => has_bound,
            "_sum" | "_count" => !has_bound,
            _ => false,
        },
        "counter" => suffix.is_empty() && sample.name.ends_with("_total"),
        _ => suffix.is_empty(),
    }
}

/// A family has samples; the buckets of each series grow with their bounds and end in the count.
fn whole(family: &Family) -> Result<(), String> {
    if family.kind.is_empty() || family.samples.is_empty() {
        return Err(format!("{} has no type or no samples", family.name));
    }
    if family.kind != "histogram" {
        return Ok(());
    }
    let mut buckets: BTreeMap<Set, Vec<(f64, f64)>> = BTreeMap::new();
    let (mut counts, mut sums) = (BTreeMap::new(), 0);
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        if let Some(bound) = labels.remove("le") {
            let bound = number(&bound).ok_or_else(|| format!("le={bound} is no number"))?;
            buckets.entry(labels).or_default().push((bound, sample.value));
        } else if sample.name.ends_with("_count") {
            counts.insert(labels, sample.value);
        } else {
            sums += 1;
        }
    }
    if buckets.len() != counts.len() || sums != counts.len() {
        return Err(format!("{}: a series lacks its buckets, sum or count", family.name));
    }
    for (labels, buckets) in buckets {
        let grow = buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        let last = buckets.last().copied();
        if !grow || last != counts.get(&labels).map(|count| (f64::INFINITY, *count)) {
            return Err(format!("{} {labels:?}: {buckets:?} do not end in the count", family.name));
        }
    }
    Ok(())
}

fn read_sample(line: &str) -> Result<Sample, String> {
    let refuse = |reason: &str| Err(format!("{reason}: {line}"));
    let end = line.find(['{', ' ']).ok_or_else(|| format!("no value: {line}"))?;
    let (name, mut rest) = line.split_at(end);
    if !is_metric_name(name) {
        return refuse("not a name");
    }
    let mut labels = Set::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let Some((label, value)) = rest.split_once("=\"") else { return refuse("no label") };
            let Some((value, behind)) = unquoted(value) else { return refuse("no closing quote") };
            if !is_label_name(label) || value.is_empty() {
                return refuse("a label without a name or a value");
            }
            if labels.insert(label.to_owned(), value).is_some() {
                return refuse("a label stands twice");
            }
            match behind.as_bytes().first() {
                Some(b',') => rest = &behind[1..],
                Some(b'}') => {
                    rest = &behind[1..];
                    break;
                }
                _ => return refuse("neither , nor } after a label"),
            }
        }
    }
    let value = rest.strip_prefix(' ').and_then(number);
    let Some(value) = value else { return refuse("not a value") };
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// What stands before the closing quote, without escapes, and what stands behind it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                _ => return None,
            },
            letter => value.push(letter),
        }
    }
    None
}

fn escapes_are_whole(text: &str, allowed: &str) -> bool {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '\\' && !letters.next().is_some_and(|escaped| allowed.contains(escaped)) {
            return false;
        }
    }
    true
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ if text.bytes().all(|byte| byte.is_ascii_digit() || b".-+e".contains(&byte)) => text.parse().ok(),
        _ => None,
    }
}

fn is_metric_name(name: &str) -> bool {
    is_name(name, "_:")
}

/// A label may not start with two underscores; those are Prometheus' own.
fn is_label_name(name: &str) -> bool {
    is_name(name, "_") && !name.starts_with("__")
}

fn is_name(name: &str, also: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || also.contains(letter))
}
