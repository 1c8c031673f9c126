//! A table as docs/performance.md has it.

/// Rows of cells below a heading.
#[derive(Debug)]
pub(crate) struct Table {
    heading: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heading: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { heading: heading.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: &[&str]) {
        assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells.iter().map(|&cell| cell.to_owned()).collect());
    }

    /// In Markdown.
    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let columns: Vec<String> = self.columns.iter().map(|&column| column.to_owned()).collect();
        let rule = vec!["---".to_owned(); columns.len()];
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("\n{}\n\n{}{}{rows}", self.heading, line(&columns), line(&rule))
    }
}

/// Seconds, for a cell.
pub(crate) fn seconds(figure: f64) -> String {
    format!("{figure:.2} s")
}

/// A ratio, for a cell.
pub(crate) fn times(figure: f64) -> String {
    format!("{figure:.2}")
}

/// KiB as MiB, for a cell.
#[expect(clippy::cast_precision_loss, reason = "a figure for a person")]
pub(crate) fn mebibytes(kibibytes: u64) -> String {
    format!("{:.1} MiB", kibibytes as f64 / 1024.0)
}
