//! A translated page shows the same commands and files as the original.

use super::page::{Block, Page, root};

const LANGUAGES: [&str; 2] = ["ru", "fa"];

fn shown(page: &Page) -> Vec<(&str, &str)> {
    page.blocks.iter().map(|Block { language, text, .. }| (language.as_str(), text.as_str())).collect()
}

#[test]
fn translations_show_the_same_code() {
    let operate = root().join("docs/operate");
    for language in LANGUAGES {
        let mut compared = 0;
        for entry in std::fs::read_dir(operate.join(language)).expect("there") {
            let path = entry.expect("an entry").path();
            let original = operate.join(path.file_name().expect("a name"));
            let translated = Page::read(&path);
            if path.file_name().is_some_and(|name| name == "README.md") {
                continue;
            }
            let original = Page::read(&original);
            assert_eq!(shown(&translated), shown(&original), "{} has drifted", translated.name());
            compared += 1;
        }
        assert!(compared >= 3, "{language}: {compared} pages");
    }
}
