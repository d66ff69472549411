"""
Reports people look at: one page of HTML that needs nothing else. Pure functions over reports.

``markup``     elements and text: the only door to HTML, everything through it is escaped
``words``      kinds, figures, times and summaries as a shop owner says them
``tables``     tables that are tables on a desk and cards on a phone
``lists``      what a report lists: mismatches, undecided ones, orders at risk
``causes``     what may be behind a mismatch, how sure that is, and its rivals
``timeline``   one SKU at one location: movements, counts, and where they parted
``chart``      that as a step chart, in SVG
``style``      colours, rules of layout, and the small script that sorts and filters
``page``       all of it on one page (calls every module above)
``plans``      what a plan would do, as a section of the page
``cells``      text in CSV that no spreadsheet takes for a formula
"""
