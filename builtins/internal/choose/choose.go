// Package choose decides which packages of conda channels a mirror keeps. A [Config] says it in the words of the
// vendor's configuration files, and a [Selector] answers, record by record.
//
// The filters take effect in this order:
//
//  1. platforms: which subdirs there are to choose from; whoever calls the Selector sees to it.
//  2. python_versions drops what no wanted version of Python can use.
//  3. license_blacklist and blacklist drop, and whitelist brings back what these two dropped. Or pkg_list, which stands
//     alone instead of the three: what it does not name is dropped.
//  4. newer_than drops what is older.
//  5. formats drops packages in the unwanted format.
//  6. latest drops all but the newest versions of each name in each subdir.
//  7. with_depends adds what the rest needs to be installed; see [Config].WithDepends for which filters bind it.
//
// The vendor documents 1 and 3. The place of python_versions is not documented; it is first because only then whitelist
// "adds back" what its documentation says.
//
// Two things to know. Choosing is pure: a choice depends on the configuration and the records alone, not on their
// order, so [Selector.Fingerprint] and the indexes' own digests tell whether it must be made again. And some filters
// need to know all records before they can judge one: then each is noted first ([Selector.NeedsAll]).
//
// Package mirror calls it; it calls package conda for versions and match specs.
package choose
