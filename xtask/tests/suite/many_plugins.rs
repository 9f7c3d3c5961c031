//! More plugins than an image may have layers.

use crate::support::engine::{Engine, Leftovers};
use crate::support::{Tree, layers};

const NAME: &str = "localhost/xtask-test/greeter:many";

#[test]
fn many_plugins_share_layers() {
    let (engine, tree) = (Engine::found(), Tree::small("many"));
    let _leftovers = Leftovers::new(&engine, &tree, NAME);
    let name = |number: usize| format!("hello-{number:03}");
    for number in 3..=150 {
        tree.add_plugin("hello", &name(number));
    }
    let before = tree.image(&["--tag", NAME]);
    assert_eq!(before["verified"]["said"], "150 plugins loaded");
    assert!(layers(&before).len() <= 120, "{} layers", layers(&before).len());
    assert_eq!(engine.run(NAME).lines().filter(|line| *line == "hello").count(), 149);

    tree.add_plugin("hello", &name(151));
    let after = tree.image(&["--tag", NAME]);
    let kept = layers(&before);
    let changed: Vec<_> = layers(&after).into_iter().filter(|layer| !kept.contains(layer)).collect();
    let [(changed, _)] = changed.as_slice() else { panic!("{changed:?}") };
    assert!(changed.starts_with("plugins-"), "{changed}");
}
