//! Bucket bounds of histograms, read from the conventions' pages: the model does not hold them.

use std::collections::BTreeMap;
use std::path::Path;

/// Bounds by metric; an empty list for one bucket without a bound.
pub(crate) type Bounds = BTreeMap<String, Vec<f64>>;

/// Reads the pages of a folder and of those below it.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Bounds> {
    let mut bounds = Bounds::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            bounds.extend(read(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            bounds.extend(of_page(&std::fs::read_to_string(&path)?));
        }
    }
    Ok(bounds)
}

fn of_page(page: &str) -> Bounds {
    page.split("\n### Metric: `")
        .skip(1)
        .filter_map(|section| {
            let (name, text) = section.split_once('`')?;
            let (_, advice) = text.split_once("ExplicitBucketBoundaries")?;
            Some((name.to_owned(), of_advice(advice)?))
        })
        .collect()
}

fn of_advice(advice: &str) -> Option<Vec<f64>> {
    let paragraph = advice.split("\n\n").next()?;
    if paragraph.contains("single bucket with no boundaries") {
        return Some(Vec::new());
    }
    let (_, numbers) = paragraph.split_once("`[")?;
    let (numbers, _) = numbers.split_once(']')?;
    numbers.split(',').map(|number| number.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_their_own_metric() {
        let page = "# Page\n\n### Metric: `a.duration`\n\nSpecified with [`ExplicitBucketBoundaries`](link)\nof `[ 0.5, 1, \
                    10 ]`.\n\n| table |\n\n### Metric: `a.count`\n\nNo advice.\n\n### Metric: `b.duration`\n\n\
                    [`ExplicitBucketBoundaries` parameter](link) with a single bucket with no boundaries.\n";
        let expected = [("a.duration".to_owned(), vec![0.5, 1.0, 10.0]), ("b.duration".to_owned(), vec![])];
        assert_eq!(of_page(page), Bounds::from(expected));
    }
}
