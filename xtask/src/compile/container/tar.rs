//! A tar that is unpacked at the root of the container.

use std::io::Read;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::GzDecoder;
use walkdir::WalkDir;

use crate::compile::vendor::{Archives, CHECKSUMS, Content, Crate};
use crate::oci::digest::Digest;
use crate::source::sync::Source;
use crate::support::files;

pub struct Tar(tar::Builder<Vec<u8>>);

impl Default for Tar {
    fn default() -> Tar {
        Tar(tar::Builder::new(Vec::new()))
    }
}

impl Tar {
    /// In bytes.
    pub fn len(&self) -> usize {
        self.0.get_ref().len()
    }

    pub fn directory(&mut self, path: &Utf8Path) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        let inside = path.as_str().trim_start_matches('/');
        self.0.append_data(&mut header, inside, std::io::empty()).with_context(|| format!("sending {path}"))
    }

    pub fn file(&mut self, path: &Utf8Path, content: &[u8], executable: bool) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(if executable { 0o755 } else { 0o644 });
        header.set_size(content.len() as u64);
        let inside = path.as_str().trim_start_matches('/');
        self.0.append_data(&mut header, inside, content).with_context(|| format!("sending {path}"))
    }

    /// The files of a crate, without its checksums.
    pub fn crate_files(&mut self, found: &Crate, archives: &Archives, inside: &Utf8Path) -> Result<()> {
        match &found.content {
            Content::Dir(dir) => self.dir(dir, inside),
            Content::Archive(digest) => {
                let paths = &archives[&found.name];
                for archive in paths {
                    let bytes = files::read(archive)?;
                    if Digest::sha256(&bytes) == *digest {
                        return self
                            .archive(&bytes, &found.name, inside)
                            .with_context(|| format!("unpacking {archive}"));
                    }
                }
                bail!("{} is not the archive that Cargo.lock names: remove it, and cargo fetches it again", paths[0])
            }
        }
    }

    fn dir(&mut self, dir: &Utf8Path, inside: &Utf8Path) -> Result<()> {
        for entry in WalkDir::new(dir).sort_by_file_name() {
            let (path, is_dir) = entry_of(dir, entry)?;
            let relative = path.strip_prefix(dir)?;
            if is_dir {
                self.directory(&inside.join(relative))?;
            } else if relative != CHECKSUMS {
                let Source { executable, .. } = Source::file(path.clone())?;
                self.file(&inside.join(relative), &files::read(&path)?, executable)?;
            }
        }
        Ok(())
    }

    /// A registry's archive: everything is in a directory with the name of the crate, as cargo demands, too.
    fn archive(&mut self, bytes: &[u8], name: &str, inside: &Utf8Path) -> Result<()> {
        let mut archive = tar::Archive::new(GzDecoder::new(bytes));
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = Utf8PathBuf::from_path_buf(entry.path()?.into_owned())
                .map_err(|path| anyhow::anyhow!("the path {} is not UTF-8", path.display()))?;
            let is_plain = |part| matches!(part, camino::Utf8Component::Normal(_));
            let Some(relative) = path.strip_prefix(name).ok().filter(|path| path.components().all(is_plain)) else {
                bail!("{path} is not in the directory {name}");
            };
            match entry.header().entry_type() {
                tar::EntryType::Directory => {}
                tar::EntryType::Regular if relative == CHECKSUMS => {}
                tar::EntryType::Regular => {
                    let executable = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
                    let mut content = Vec::new();
                    entry.read_to_end(&mut content)?;
                    self.file(&inside.join(relative), &content, executable)?;
                }
                kind => bail!("{path} is neither a file nor a directory ({kind:?})"),
            }
        }
        Ok(())
    }

    pub fn finish(self) -> Result<Vec<u8>> {
        self.0.into_inner().context("ending the tar")
    }
}

/// The path of what was found in `dir`, and whether it is a directory.
pub fn entry_of(dir: &Utf8Path, entry: walkdir::Result<walkdir::DirEntry>) -> Result<(Utf8PathBuf, bool)> {
    let entry = entry.with_context(|| format!("reading the directory {dir}"))?;
    let Some(path) = Utf8Path::from_path(entry.path()) else { bail!("{} is not UTF-8", entry.path().display()) };
    Ok((path.to_owned(), entry.file_type().is_dir()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::Tar;

    /// Of files, or of what the kind says.
    fn archive(entries: &[(&str, tar::EntryType, u32)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, kind, mode) in entries {
            let mut header = tar::Header::new_old();
            // As it is, also what the library would refuse.
            (&mut header.as_old_mut().name[..]).write_all(path.as_bytes()).expect("a short path");
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            header.set_size(4);
            header.set_cksum();
            archive.append(&header, &b"text"[..]).expect("an entry");
        }
        archive.into_inner().and_then(GzEncoder::finish).expect("an archive")
    }

    #[test]
    fn files_of_an_archive_keep_their_content_and_may_be_programs() {
        use tar::EntryType::Regular;
        let mut sent = Tar::default();
        let entries = [
            ("a-1/src/lib.rs", Regular, 0o600),
            ("a-1/run", Regular, 0o755),
            ("a-1/.cargo-checksum.json", Regular, 0o644),
        ];
        sent.archive(&archive(&entries), "a-1", "/vendor/a-1".into()).expect("an archive of a crate");
        let sent = sent.finish().expect("a tar");
        let mut found = tar::Archive::new(sent.as_slice());
        let found: Vec<String> = found
            .entries()
            .expect("a tar")
            .map(|entry| {
                let mut entry = entry.expect("an entry");
                let content = std::io::read_to_string(&mut entry).expect("text");
                format!(
                    "{} {:o} {content}",
                    entry.path().expect("a path").display(),
                    entry.header().mode().expect("a mode")
                )
            })
            .collect();
        assert_eq!(found, ["vendor/a-1/src/lib.rs 644 text", "vendor/a-1/run 755 text"]);
    }

    #[test]
    fn what_leaves_its_directory_is_refused() {
        use tar::EntryType::{Regular, Symlink};
        for (path, kind, error) in [
            ("b-1/lib.rs", Regular, "b-1/lib.rs is not in the directory a-1"),
            ("a-1/../../etc/passwd", Regular, "a-1/../../etc/passwd is not in the directory a-1"),
            ("/a-1/lib.rs", Regular, "/a-1/lib.rs is not in the directory a-1"),
            ("a-1/link", Symlink, "a-1/link is neither a file nor a directory (Symlink)"),
        ] {
            let refused = Tar::default().archive(&archive(&[(path, kind, 0o644)]), "a-1", "/vendor/a-1".into());
            assert_eq!(refused.expect_err(path).to_string(), error);
        }
    }
}
