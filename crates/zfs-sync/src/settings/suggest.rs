//! Which word was probably meant.

/// The nearest of `known`, when it is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let (best, distance) = known
        .iter()
        .map(|candidate| (*candidate, distance(word, candidate)))
        .min_by_key(|(_, distance)| *distance)?;
    // A third of the letters wrong is still the same word to a person.
    (distance * 3 <= best.chars().count()).then_some(best)
}

/// Letters to insert, delete or replace to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_is_recognised_and_a_foreign_one_is_not() {
        assert_eq!(nearest("databse_url", &["listen", "database_url"]), Some("database_url"));
        assert_eq!(nearest("Listen", &["listen", "database_url"]), Some("listen"));
        assert_eq!(nearest("colour", &["listen", "database_url"]), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
