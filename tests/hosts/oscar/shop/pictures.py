"""Pictures as they are: a thumbnailer needs a package of its own."""


class AsTheyAre:
    def generate_thumbnail(self, source, **options):
        """Return the picture itself."""
        return source

    def delete_thumbnails(self, source):
        """Delete nothing, because nothing was made."""
