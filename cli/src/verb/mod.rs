//! The verbs, one file each.

pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod boot;
pub(crate) mod call;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod confine;
pub(crate) mod doctor;
pub(crate) mod install;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod order;
pub(crate) mod recv;
pub(crate) mod run;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod top;
pub(crate) mod tree;
