//! Schemas: what `.proto` files and descriptor sets say of services and their messages.

use std::fmt;
use std::path::{Path, PathBuf};

use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor};

use crate::message::target::path_and_query;

/// Deepest folder that is looked into for `.proto` files.
const MAX_FOLDERS: usize = 32;

/// The services that are known.
#[derive(Clone, Default)]
pub struct Schema {
    pools: Vec<DescriptorPool>,
}

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A folder holds no `.proto` file.
    #[error("{path} holds no .proto file; name the folder that imports start from")]
    Empty {
        /// Which.
        path: String,
    },
    /// A `.proto` file is wrong, or one that it imports is missing.
    #[error("{path}: {what}")]
    Source {
        /// The folder.
        path: String,
        /// What the compiler says, with file and line.
        what: String,
    },
    /// A file is no set of descriptors.
    #[error(
        "{path} is no descriptor set ({what}); make one with: protoc --include_imports \
         --descriptor_set_out=FILE …"
    )]
    Descriptors {
        /// Which.
        path: String,
        /// Why not.
        what: String,
    },
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services = self.pools.iter().flat_map(DescriptorPool::services);
        f.debug_list().entries(services.map(|service| service.full_name().to_owned())).finish()
    }
}

impl Schema {
    /// Of folders of `.proto` files, from each of which imports start, and of files that
    /// `protoc --descriptor_set_out` or `buf build` wrote.
    pub fn load(folders: &[PathBuf], sets: &[PathBuf]) -> Result<Self, SchemaError> {
        let compiled = folders.iter().map(|folder| compiled(folder));
        let decoded = sets.iter().map(|set| decoded(set));
        Ok(Self { pools: compiled.chain(decoded).collect::<Result<_, _>>()? })
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }

    /// The message that a request with this target holds.
    pub fn question(&self, target: &[u8]) -> Option<MessageDescriptor> {
        self.method(target).map(|method| method.input())
    }

    /// The message that the answer to a request with this target holds.
    pub fn answer(&self, target: &[u8]) -> Option<MessageDescriptor> {
        self.method(target).map(|method| method.output())
    }

    /// The method that a target names by its last two segments: `/shop.v1.Shop/Place`.
    pub(super) fn method(&self, target: &[u8]) -> Option<MethodDescriptor> {
        if self.pools.is_empty() {
            return None;
        }
        let path = std::str::from_utf8(path_and_query(target).0).ok()?;
        let (before, name) = path.rsplit_once('/')?;
        let service = before.rsplit('/').next()?;
        self.pools.iter().find_map(|pool| {
            let service = pool.get_service_by_name(service)?;
            service.methods().find(|method| method.name() == name)
        })
    }
}

fn compiled(folder: &Path) -> Result<DescriptorPool, SchemaError> {
    let path = || folder.display().to_string();
    let mut files = Vec::new();
    collect(folder, MAX_FOLDERS, &mut files)?;
    if files.is_empty() {
        return Err(SchemaError::Empty { path: path() });
    }
    files.sort_unstable();
    let wrong = |error: protox::Error| SchemaError::Source { path: path(), what: one_line(&error) };
    let mut compiler = protox::Compiler::new([folder]).map_err(wrong)?;
    compiler.include_imports(true).open_files(&files).map_err(wrong)?;
    Ok(compiler.descriptor_pool())
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), SchemaError> {
    let unreadable = |source| SchemaError::Read { path: folder.display().to_string(), source };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() && depth > 0 {
            collect(&path, depth - 1, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}

fn decoded(set: &Path) -> Result<DescriptorPool, SchemaError> {
    let path = || set.display().to_string();
    let bytes = std::fs::read(set).map_err(|source| SchemaError::Read { path: path(), source })?;
    let wrong = |what: String| SchemaError::Descriptors { path: path(), what };
    let pool = DescriptorPool::decode(&*bytes).map_err(|error| wrong(one_line(&error)))?;
    if pool.files().len() == 0 {
        return Err(wrong("it is empty".to_owned()));
    }
    Ok(pool)
}

fn one_line(error: &impl fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
