//! Tables in Markdown, to be pasted where results are kept.

/// A header and rows of as many cells.
pub(crate) struct Table {
    lines: Vec<String>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        let mut table = Self { lines: Vec::new() };
        table.row(header);
        table.row(&vec!["---"; header.len()]);
        table
    }

    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: &[T]) {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        self.lines.push(format!("| {} |", cells.join(" | ")));
    }

    pub(crate) fn print(&self) {
        println!("{}\n", self.lines.join("\n"));
    }
}

/// A number with separators, as `204,800`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!(
            [0, 999, 1_000, 204_800, 1_000_000].map(grouped),
            ["0", "999", "1,000", "204,800", "1,000,000"]
        );
    }
}
