//! Medians with their spread: a mean of few rounds says less.

/// Median with smallest and largest, as `1.10 [1.05-1.21]`.
pub(crate) fn spread(values: &[f64], digits: usize) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { return "none".to_owned() };
    format!("{:.digits$} [{first:.digits$}-{last:.digits$}]", median(&sorted))
}

/// Each value by the one of the same round.
pub(crate) fn ratios(above: &[f64], below: &[f64]) -> Vec<f64> {
    above.iter().zip(below).map(|(above, below)| above / below).collect()
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied().unwrap_or(f64::NAN);
    if sorted.len() % 2 == 1 {
        return upper;
    }
    let lower = middle.checked_sub(1).and_then(|below| sorted.get(below)).copied().unwrap_or(f64::NAN);
    f64::midpoint(lower, upper)
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(spread(&[4.0, 1.0, 3.0, 2.0], 1), "2.5 [1.0-4.0]");
        assert_eq!(spread(&[3.0, 1.0, 2.0], 0), "2 [1-3]");
        assert_eq!(spread(&[], 0), "none");
    }
}
