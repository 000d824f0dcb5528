"""The documentation: ``python -m docs [FOLDER]`` writes it (extra ``docs``), ``docs.guide`` holds its pages.

The pages are modules, so that what can be generated is: the settings from the docstring of `SDKConfig`, the states
from the table the services move by, the errors from the tree itself.
"""
