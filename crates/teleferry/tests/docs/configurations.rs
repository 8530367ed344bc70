//! Every configuration on a page is one that `check` takes; a part of one together with the smallest rest.

use super::page::{Block, Page, pages};
use super::support::{Done, Place};

/// Makes a block into a file: placeholders become secrets, a part becomes a whole.
pub(crate) fn whole(block: &Block) -> String {
    let mut text = block.text.clone();
    for number in 0_u64.. {
        if !text.contains("\"…\"") {
            break;
        }
        // Each one is another.
        text = text.replacen("\"…\"", &format!("\"8f1d5b0c4e3a49719c2b7d60{number:08x}\""), 1);
    }
    if !text.contains("[[listen]]") && !text.contains("kind = \"back\"") {
        text.push_str(
            "\n[[listen]]\naddress = \"[::]:443\"\nsecret = \"0b7c91d2e8f64a35bc1d7e90f2a3645c\"\ndomain = \"www.example.com\"\n",
        );
    }
    text
}

/// The configurations of a page. Blocks that say so are other programs'.
pub(crate) fn configurations(page: &Page) -> impl Iterator<Item = &Block> {
    page.blocks.iter().filter(|block| block.language == "toml")
}

fn check(block: &Block) -> Done {
    let place = Place::new();
    place.write("secret.txt", "5a0d3c917be24f68a1f0c3d2b4e59786\n");
    if block.text.contains("[role.tls]") {
        certify(&place);
    }
    place.write("teleferry.toml", &whole(block));
    place.run(["check", "--config", "teleferry.toml"])
}

/// The files that `teleferry certs` makes for the names on pages.
fn certify(place: &Place) {
    for command in ["init --name back-1.example.net --dir .", "issue front-1 --dir ."] {
        let done = place.run(["certs"].into_iter().chain(command.split(' ')));
        assert_eq!(done.code, Some(0), "{done:?}");
    }
}

#[test]
fn configurations_on_pages_are_valid() {
    let mut checked = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        for block in configurations(&page) {
            let done = check(block);
            if done.code != Some(0) {
                wrong.push(format!("{}:{}:\n{}", page.name(), block.line, done.stderr));
            }
            checked += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 15, "{checked}");
}

#[test]
fn a_wrong_configuration_would_be_found() {
    let block = |text: &str| Block { language: "toml".into(), line: 1, text: text.into() };
    assert_eq!(check(&block("[replay]\ncapacity = 1000\n")).code, Some(0));
    assert_eq!(check(&block("[replay]\ncapacty = 1000\n")).code, Some(2));
}
