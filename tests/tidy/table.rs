//! Markdown tables, as far as the rules read them: rows of cells under a known heading.

/// One row: its line number, from 1, and its cells, trimmed.
pub(crate) struct Row<'a> {
    pub(crate) line: usize,
    pub(crate) cells: Vec<&'a str>,
}

/// The rows of every table with exactly this heading. An error if there is none, or a row has another number of cells.
pub(crate) fn rows<'a>(path: &str, text: &'a str, heading: &[&str]) -> Result<Vec<Row<'a>>, String> {
    let mut rows = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        let Some(cells) = line.trim().strip_prefix('|').and_then(|rest| rest.strip_suffix('|')) else {
            inside = false;
            continue;
        };
        let cells: Vec<&str> = cells.split('|').map(str::trim).collect();
        if cells == heading {
            inside = true;
        } else if inside && !line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ')) {
            if cells.len() != heading.len() {
                return Err(format!("{path}:{line_number}: {} cells, not {}", cells.len(), heading.len()));
            }
            rows.push(Row { line: line_number, cells });
        }
    }
    if rows.is_empty() {
        return Err(format!("{path} holds no row under the heading `| {} |`", heading.join(" | ")));
    }
    Ok(rows)
}

/// A cell's items: separated by commas, without backticks and what stands in brackets.
pub(crate) fn items(cell: &str) -> Vec<String> {
    let mut outside = String::new();
    let mut depth = 0_usize;
    for c in cell.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '`' => {}
            _ if depth == 0 => outside.push(c),
            _ => {}
        }
    }
    outside.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "words\n| a | b |\n|---|:-:|\n| 1 | `x`, y (reading) |\n\n| a | c |\n|---|---|\n| 2 | z |\n";

    #[test]
    fn rows_are_those_under_the_heading() {
        let rows = rows("f", TEXT, &["a", "b"]).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].line, rows[0].cells[0]), (4, "1"));
        assert_eq!(items(rows[0].cells[1]), ["x", "y"]);
    }

    #[test]
    fn a_missing_table_and_a_torn_row_are_errors() {
        assert!(rows("f", TEXT, &["no", "such"]).is_err());
        assert!(rows("f", "| a | b |\n|---|---|\n", &["a", "b"]).is_err());
        assert!(rows("f", "| a | b |\n|---|---|\n| 1 |\n", &["a", "b"]).is_err());
    }
}
