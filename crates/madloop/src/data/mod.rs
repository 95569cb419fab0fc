//! Real data: readers of files, exact samplers, and the catalogue of data sets.
