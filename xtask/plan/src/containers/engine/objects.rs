//! Finds containers, images and volumes by labels.

use anyhow::Result;

use crate::containers::engine::Engine;
use crate::support::ui::Ui;

#[derive(Clone, Copy)]
pub enum Kind {
    Container,
    Image,
    Volume,
}

impl Engine {
    /// The ids (of volumes: the names) of all that have these labels, given as `NAME=VALUE`; sorted.
    pub fn labelled(&self, ui: &Ui, kind: Kind, labels: &[String]) -> Result<Vec<String>> {
        let list: &[&str] = match kind {
            Kind::Container => &["ps", "--all"],
            Kind::Image => &["image", "ls"],
            Kind::Volume => &["volume", "ls"],
        };
        let filters = labels.iter().flat_map(|label| ["--filter".to_owned(), format!("label={label}")]);
        let ids = self.command(list.iter().copied()).args(["--quiet"]).args(filters).read(ui)?;
        let mut ids: Vec<String> = ids.lines().map(str::to_owned).collect();
        ids.sort();
        // An image is listed once for each of its names.
        ids.dedup();
        Ok(ids)
    }

    /// The values of labels. A label that is not set is empty; if the object does not exist, all are empty.
    pub fn label_values<const N: usize>(&self, ui: &Ui, kind: Kind, id: &str, labels: [&str; N]) -> [String; N] {
        let (inspect, place): (&[&str], _) = match kind {
            Kind::Container => (&["inspect"], ".Config.Labels"),
            Kind::Image => (&["image", "inspect"], ".Config.Labels"),
            Kind::Volume => (&["volume", "inspect"], ".Labels"),
        };
        let format = labels.map(|label| format!("{{{{index {place} \"{label}\"}}}}")).join("|");
        let command = self.command(inspect.iter().copied()).args(["--format", &format, id]);
        let answer = command.read(ui).unwrap_or_default();
        let mut values = answer.split('|').map(str::to_owned);
        labels.map(|_| values.next().unwrap_or_default())
    }

    /// An image with all its names.
    pub fn remove_image(&self, ui: &Ui, id: &str) -> Result<()> {
        self.command(["rmi", "--force", id]).read(ui).map(drop)
    }
}
